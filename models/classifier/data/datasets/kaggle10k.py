"""The 10,000-picture melanoma folder on Kaggle: pictures of the ISIC archive, benign or malignant, no ids at all."""

from pathlib import Path

from models.classifier.data.datasets import class_folder
from models.classifier.data.datasets.dataset import DataSet
from models.classifier.data.table import Row

LAYOUT = "train/benign, train/malignant, test/benign and test/malignant with pictures in them"


def rows(folder: Path) -> list[Row]:
    """Every picture, in the split of its folder. Which malignancy it is, is not told."""
    return class_folder.rows(folder, "kaggle10k", LAYOUT)


DATASET = DataSet(
    name="kaggle10k",
    title="Melanoma skin cancer dataset of 10,000 images (Kaggle), benign or malignant",
    licence="pictures of the ISIC archive, whatever the upload says of itself: treat as CC BY-NC 4.0",
    layout=LAYOUT,
    rows=rows,
    page="https://www.kaggle.com/datasets/hasnainjaved/melanoma-skin-cancer-dataset-of-10000-images",
    kaggle="datasets/hasnainjaved/melanoma-skin-cancer-dataset-of-10000-images",
)
