"""SIIM-ISIC 2020 (Rotemberg et al. 2021): melanoma or not, several pictures of one patient, and known duplicates."""

from pathlib import Path

from models.classifier.data.datasets import files, groups, records, words
from models.classifier.data.datasets.dataset import DataSet
from models.classifier.data.table import Row

LAYOUT = (
    "train.csv (or ISIC_2020_Training_GroundTruth_v2.csv), the pictures ISIC_*.jpg in folders of any name, and, "
    "if at hand, ISIC_2020_Training_Duplicates.csv"
)
TABLES = ("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv")
DUPLICATES = "ISIC_2020_Training_Duplicates.csv"
COARSE = {"cafe au lait macule": "benign", "atypical melanocytic proliferation": "benign"}
"""Benign by the set's own column, but none of the seven diagnoses."""


def rows(folder: Path) -> list[Row]:
    """Every picture, grouped by patient; patients who share a picture of the duplicates file are one group."""
    table = files.find(folder, LAYOUT, *TABLES)
    pictures = files.ImageFiles(folder, LAYOUT)
    found = {
        record.told("image_name"): _row(record, pictures.path(record.told("image_name")))
        for record in records.read(table, "image_name", "patient_id", "diagnosis", "benign_malignant", "target")
    }
    index = {name: number for number, name in enumerate(found)}
    pairs = [(index[a], index[b]) for a, b in _duplicates(folder) if a in index and b in index]
    return groups.joined(list(found.values()), pairs)


def _row(record: records.Record, path: Path) -> Row:
    patient, lesion = record.known("patient_id"), record.known("lesion_id")
    return Row(
        path=path,
        dx=_label(record),
        group=patient or lesion or files.picture_group(path),
        split="",
        source="isic2020",
        lesion=lesion,
        patient=patient,
        age=record.age("age_approx"),
        sex=record.known("sex"),
        site=record.known("anatom_site_general_challenge"),
    )


def _label(record: records.Record) -> str:
    """Most benign pictures were never diagnosed: their label stays coarse."""
    malignant = record.flag("target")
    if record.told("benign_malignant") != ("malignant" if malignant else "benign"):
        raise record.error(f"target is {record.told('target')}, benign_malignant is {record.told('benign_malignant')}")
    if not record.known("diagnosis"):
        return "malignant" if malignant else "benign"
    dx = words.of(record, "diagnosis", COARSE)
    if (dx == "mel") != malignant:  # the only malignant diagnosis of this set
        raise record.error(f"diagnosis is {record.told('diagnosis')}, target is {record.told('target')}")
    return dx


def _duplicates(folder: Path) -> list[tuple[str, str]]:
    return [
        (record.told("image_name_1"), record.told("image_name_2"))
        for table in sorted(folder.rglob(DUPLICATES))
        for record in records.read(table, "image_name_1", "image_name_2")
    ]


DATASET = DataSet(
    name="isic2020",
    title="SIIM-ISIC 2020, 33,126 dermoscopic pictures of 2,056 patients, melanoma 1.8 %",
    licence="CC BY-NC 4.0: not for commercial use, name the authors (Rotemberg et al. 2021)",
    layout=LAYOUT,
    rows=rows,
    page="https://www.kaggle.com/competitions/siim-isic-melanoma-classification",
    kaggle="competitions/siim-isic-melanoma-classification",
)
