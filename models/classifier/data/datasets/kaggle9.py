"""The nine-class ISIC folder on Kaggle: 2,357 pictures, no ids at all. Its actinic keratosis is read as akiec."""

from pathlib import Path

from models.classifier.data.datasets import class_folder
from models.classifier.data.datasets.dataset import DataSet
from models.classifier.data.table import Row

LAYOUT = (
    "Train and Test, each with folders named actinic keratosis, basal cell carcinoma, dermatofibroma, melanoma, nevus, "
    "pigmented benign keratosis, seborrheic keratosis, squamous cell carcinoma, vascular lesion"
)


def rows(folder: Path) -> list[Row]:
    """Every picture, in the split of its folder."""
    return class_folder.rows(folder, "kaggle9", LAYOUT)


DATASET = DataSet(
    name="kaggle9",
    title="Skin cancer ISIC, nine classes (Kaggle), 2,357 pictures",
    licence="pictures of the ISIC archive, whatever the upload says of itself: treat as CC BY-NC 4.0",
    layout=LAYOUT,
    rows=rows,
    page="https://www.kaggle.com/datasets/nodoubttome/skin-cancer9-classesisic",
    kaggle="datasets/nodoubttome/skin-cancer9-classesisic",
)
