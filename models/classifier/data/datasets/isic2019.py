"""ISIC 2019 (HAM10000, BCN20000, MSK): eight diagnoses, lesion ids for most pictures."""

from pathlib import Path

from models.classifier.data.datasets import files, records
from models.classifier.data.datasets.dataset import DataSet
from models.classifier.data.table import Row

LAYOUT = (
    "ISIC_2019_Training_GroundTruth.csv, ISIC_2019_Training_Metadata.csv and the pictures ISIC_*.jpg "
    "in folders of any name"
)
LABELS = {
    "MEL": "mel",
    "NV": "nv",
    "BCC": "bcc",
    "AK": "akiec",  # as HAM10000, part of this set, counts its own
    "BKL": "bkl",
    "DF": "df",
    "VASC": "vasc",
    "SCC": "akiec",
    "UNK": "",  # none of the others: left out
}


def rows(folder: Path) -> list[Row]:
    """Every picture that has one of our labels, grouped by lesion."""
    truth = files.find(folder, LAYOUT, "ISIC_2019_Training_GroundTruth.csv")
    told = files.find(folder, LAYOUT, "ISIC_2019_Training_Metadata.csv")
    pictures = files.ImageFiles(folder, LAYOUT)
    people = {r.told("image"): r for r in records.read(told, "image", "age_approx", "anatom_site_general", "lesion_id")}
    found = []
    for record in records.read(truth, "image", *LABELS):
        image, dx = record.told("image"), _label(record)
        if image not in people:
            raise record.error(f"{image} is not in {told}")
        if dx:
            found.append(_row(people[image], pictures.path(image), dx))
    return found


def _row(person: records.Record, path: Path, dx: str) -> Row:
    lesion = person.known("lesion_id")
    return Row(
        path=path,
        dx=dx,
        group=lesion or files.picture_group(path),
        split="",
        source="isic2019",
        lesion=lesion,
        age=person.age("age_approx"),
        sex=person.known("sex"),
        site=person.known("anatom_site_general"),
    )


def _label(record: records.Record) -> str:
    chosen = [column for column in LABELS if record.flag(column)]
    if len(chosen) != 1:
        raise record.error(f"{len(chosen)} of the columns {', '.join(LABELS)} are 1 instead of one")
    return LABELS[chosen[0]]


DATASET = DataSet(
    name="isic2019",
    title="ISIC 2019, 25,331 dermoscopic pictures, eight diagnoses; HAM10000 is part of it",
    licence="CC BY-NC 4.0: not for commercial use, name the authors (Tschandl 2018, Codella 2017, Combalia 2019)",
    layout=LAYOUT,
    rows=rows,
    page="https://challenge.isic-archive.com/data/#2019",
    kaggle="datasets/andrewmvd/isic-2019",
)
