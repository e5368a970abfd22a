"""Any csv file that names pictures and labels, whatever its columns are called."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from models.classifier.data.datasets import files, records, words
from models.classifier.data.datasets.class_folder import SPLITS
from models.classifier.data.datasets.dataset import DataSet, lacking
from models.classifier.data.datasets.records import Record
from models.classifier.data.labels import CLASSES
from models.classifier.data.table import COARSE, Row

COLUMNS = ("path", "dx", "lesion", "patient", "group", "age", "sex", "site", "skin_type", "source", "split")
REQUIRED = ("path", "dx")
LAYOUT = (
    "a csv file with a column path (relative to the file, or a picture's name) and a column dx "
    f"({', '.join((*CLASSES, *COARSE))} or their names); other columns by --column dx=diagnosis, "
    "other labels by --label 'clark naevus=nv'"
)


def rows(place: Path, columns: Mapping[str, str], labels: Mapping[str, str]) -> list[Row]:
    """Rows of a csv file, or of the only one in a folder.

    `columns`: our name to the file's; `labels`: the file's to ours. The group is `group`, else the patient, else the
    lesion, else the file's content.
    """
    wrong = [name for name in columns if name not in COLUMNS]
    if wrong:
        raise ValueError(f"--column {wrong[0]}=…: there is no such column; there are {', '.join(COLUMNS)}")
    wrong = [name for name in labels.values() if name not in (*CLASSES, *COARSE)]
    if wrong:
        raise ValueError(f"--label …={wrong[0]}: there is no such label; there are {', '.join((*CLASSES, *COARSE))}")
    table = _table(place)
    names = {name: columns.get(name, name) for name in COLUMNS}
    wanted = [names[name] for name in COLUMNS if name in REQUIRED or name in columns]
    pictures = {path.stem: path for path in reversed(files.below(table.parent))}
    also = {words.plain(told): label for told, label in labels.items()}
    return [_row(record, names, pictures, also) for record in records.read(table, *wanted)]


def _table(place: Path) -> Path:
    if place.is_file():
        return place
    found = sorted(place.glob("*.csv"))
    if len(found) != 1:
        raise lacking(place, "single csv file", LAYOUT)
    return found[0]


def _row(record: Record, names: Mapping[str, str], pictures: Mapping[str, Path], also: dict[str, str]) -> Row:
    told = record.told(names["path"])
    if not told:
        raise record.error(f"{names['path']} is empty")
    path = record.table.parent / told
    if not path.is_file():
        path = pictures.get(told) or pictures.get(Path(told).stem) or path
    known = {name: record.known(names[name]) for name in COLUMNS}
    split = known["split"]
    return Row(
        path=path,
        dx=words.of(record, names["dx"], also),
        group=known["group"] or known["patient"] or known["lesion"] or files.picture_group(path),
        split=SPLITS.get(split.lower(), split),
        source=known["source"] or record.table.stem,
        lesion=known["lesion"],
        patient=known["patient"],
        age=record.age(names["age"]),
        sex=known["sex"].lower(),
        site=known["site"],
        skin_type=known["skin_type"],
    )


def dataset(columns: Mapping[str, str], labels: Mapping[str, str]) -> DataSet:
    """The way to read one file's columns."""
    return DataSet(
        name="csv",
        title="Any csv file",
        licence="that of your pictures",
        layout=LAYOUT,
        rows=partial(rows, columns=columns, labels=labels),
    )


DATASET = dataset({}, {})
