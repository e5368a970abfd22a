"""HAM10000 (Tschandl, Rosendahl, Kittler 2018): several pictures of one lesion, so it is grouped by lesion."""

from pathlib import Path

from models.classifier.data.datasets import files, records, words
from models.classifier.data.datasets.dataset import DataSet
from models.classifier.data.table import Row

LAYOUT = (
    "HAM10000_metadata.csv and the pictures ISIC_*.jpg in folders of any name (HAM10000_images_part_1, _part_2); "
    "or ham10000/ham10000.csv as in MELALOG_DATA_DIR"
)


def rows(folder: Path) -> list[Row]:
    """Every picture of the metadata."""
    ready = files.prepared(folder, "ham10000")
    if ready is not None:
        return ready
    table = files.find(folder, LAYOUT, "HAM10000_metadata.csv", "HAM10000_metadata")
    pictures = files.ImageFiles(folder, LAYOUT)
    return [
        Row(
            path=pictures.path(record.told("image_id")),
            dx=words.of(record, "dx"),
            group=record.known("lesion_id") or files.picture_group(pictures.path(record.told("image_id"))),
            split="",
            source="ham10000",
            lesion=record.known("lesion_id"),
            age=record.age("age"),
            sex=record.known("sex"),
            site=record.known("localization"),
        )
        for record in records.read(table, "lesion_id", "image_id", "dx", "age", "sex", "localization")
    ]


DATASET = DataSet(
    name="ham10000",
    title="HAM10000, 10,015 dermoscopic pictures, seven diagnoses",
    licence="CC BY-NC 4.0: not for commercial use, name the authors (Tschandl, Rosendahl, Kittler 2018)",
    layout=LAYOUT,
    rows=rows,
    page="https://doi.org/10.7910/DVN/DBW86T",
    kaggle="datasets/kmader/skin-cancer-mnist-ham10000",
)
