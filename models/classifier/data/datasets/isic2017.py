"""ISIC 2017 (Codella et al. 2018), task 3: melanoma, seborrhoeic keratosis or naevus. No lesion or patient ids."""

from pathlib import Path

from models.classifier.data.datasets import files, records
from models.classifier.data.datasets.dataset import DataSet, lacking
from models.classifier.data.table import Row

LAYOUT = (
    "ISIC-2017_Training_Part3_GroundTruth.csv (also _Validation_, _Test_v2_; and, if at hand, *_Data_metadata.csv) "
    "and the pictures ISIC_*.jpg in folders of any name; or isic2017/isic2017.csv as in MELALOG_DATA_DIR"
)
SPLITS = {"Training": "train", "Validation": "validation", "Test_v2": "test", "Test": "test"}


def rows(folder: Path) -> list[Row]:
    """Every picture of the official parts that are there, in their official split."""
    ready = files.prepared(folder, "isic2017")
    if ready is not None:
        return ready
    tables = {part: sorted(folder.rglob(f"ISIC-2017_{part}_Part3_GroundTruth.csv")) for part in SPLITS}
    if not any(tables.values()):
        raise lacking(folder, "ISIC-2017_*_Part3_GroundTruth.csv", LAYOUT)
    pictures = files.ImageFiles(folder, LAYOUT)
    people = {
        record.told("image_id"): record
        for table in sorted(folder.rglob("ISIC-2017_*_Data_metadata.csv"))
        for record in records.read(table, "image_id", "age_approximate", "sex")
    }
    return [
        _row(record, people.get(record.told("image_id")), pictures.path(record.told("image_id")), SPLITS[part])
        for part, found in tables.items()
        for table in found[:1]
        for record in records.read(table, "image_id", "melanoma", "seborrheic_keratosis")
    ]


def _row(record: records.Record, person: records.Record | None, path: Path, split: str) -> Row:
    melanoma, keratosis = record.flag("melanoma"), record.flag("seborrheic_keratosis")
    if melanoma and keratosis:
        raise record.error("both melanoma and seborrheic_keratosis are 1")
    return Row(
        path=path,
        dx="mel" if melanoma else "bkl" if keratosis else "nv",
        group=files.picture_group(path),
        split=split,
        source="isic2017",
        age=person.age("age_approximate") if person else None,
        sex=person.known("sex") if person else "",
    )


DATASET = DataSet(
    name="isic2017",
    title="ISIC 2017, 2,750 dermoscopic pictures in official splits",
    licence="CC0 as remembered, not verified here: read the terms on the page; name the authors (Codella et al. 2018)",
    layout=LAYOUT,
    rows=rows,
    page="https://challenge.isic-archive.com/data/#2017",
)
