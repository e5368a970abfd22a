"""PAD-UFES-20 (Pacheco et al. 2020): smartphone photographs, grouped by patient."""

from pathlib import Path

from models.classifier.data.datasets import files, records, words
from models.classifier.data.datasets.dataset import DataSet
from models.classifier.data.table import Row

LAYOUT = (
    "metadata.csv and the pictures PAT_*.png in folders of any name (imgs_part_1 to _3); "
    "or pad_ufes_20/pad_ufes_20.csv as in MELALOG_DATA_DIR"
)
LEFT_OUT = "ACK"
"""Actinic keratosis here is no carcinoma in situ, as HAM10000's akiec is, and not benign either."""


def rows(folder: Path) -> list[Row]:
    """Every photograph but those of actinic keratosis."""
    ready = files.prepared(folder, "pad_ufes_20")
    if ready is not None:
        return ready
    table = files.find(folder, LAYOUT, "metadata.csv")
    pictures = files.ImageFiles(folder, LAYOUT)
    columns = ("patient_id", "lesion_id", "img_id", "diagnostic", "age", "gender", "region", "fitspatrick")
    return [
        _row(record, pictures.path(record.told("img_id")))
        for record in records.read(table, *columns)
        if record.told("diagnostic") != LEFT_OUT
    ]


def _row(record: records.Record, path: Path) -> Row:
    patient, lesion = record.known("patient_id"), record.known("lesion_id")
    return Row(
        path=path,
        dx=words.of(record, "diagnostic"),
        group=patient or files.picture_group(path),
        split="",
        source="pad_ufes_20",
        lesion=f"{patient}_{lesion}" if lesion else "",  # a lesion's number is its patient's: others have it too
        patient=patient,
        age=record.age("age"),
        sex=record.known("gender").lower(),
        site=record.known("region").lower(),
        skin_type=record.known("fitspatrick").removesuffix(".0"),
    )


DATASET = DataSet(
    name="pad_ufes_20",
    title="PAD-UFES-20, 2,298 smartphone photographs of 1,373 patients with their answers",
    licence="CC BY 4.0: name the authors (Pacheco et al. 2020)",
    layout=LAYOUT,
    rows=rows,
    page="https://doi.org/10.17632/zr7vgbcyr2.1",
    kaggle="datasets/mahdavi1202/skin-cancer",
)
