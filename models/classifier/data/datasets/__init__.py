"""The data sets that can be read, one short module each, and one table out of all of them."""

from models.classifier.data.datasets import (
    any_csv,
    class_folder,
    ham10000,
    isic2017,
    isic2019,
    isic2020,
    kaggle9,
    kaggle10k,
    pad_ufes_20,
)
from models.classifier.data.datasets.dataset import DataSet, LayoutError

DATASETS: dict[str, DataSet] = {
    module.DATASET.name: module.DATASET
    for module in (ham10000, isic2020, isic2019, isic2017, kaggle10k, kaggle9, pad_ufes_20, any_csv, class_folder)
}
"""By name."""

__all__ = ["DATASETS", "DataSet", "LayoutError"]
