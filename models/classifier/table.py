"""One row per labelled picture, whatever data set it came from."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.classifier.labels import ALIASES, CLASSES, MALIGNANT, MELANOMA

COARSE = {
    "benign": tuple(index for index in range(len(CLASSES)) if index not in MALIGNANT),
    "malignant": MALIGNANT,
    "not_melanoma": tuple(index for index in range(len(CLASSES)) if index != MELANOMA),
}
"""Labels of sets that do not name the diagnosis, and the classes each of them leaves open."""


@dataclass(frozen=True)
class Row:
    """A labelled picture. Nothing of one `group` may stand on two sides of any split.

    `dx`: one of CLASSES, or a key of COARSE. Empty strings and None: not known.
    """

    path: Path
    dx: str
    group: str
    split: str
    source: str
    lesion: str = ""
    patient: str = ""
    age: float | None = None
    sex: str = ""
    site: str = ""
    skin_type: str = ""

    @property
    def classes(self) -> tuple[int, ...]:
        """Indices in CLASSES that the label allows: one where the diagnosis is known."""
        return COARSE.get(self.dx) or (CLASSES.index(self.dx),)

    @property
    def label(self) -> int:
        """Index of the diagnosis in CLASSES. Raises ValueError for a coarse label."""
        return CLASSES.index(self.dx)

    @property
    def melanoma(self) -> bool | None:
        """None where the label leaves it open, as for `malignant`."""
        return _decided(self.classes, (MELANOMA,))

    @property
    def malignant(self) -> bool | None:
        """Melanoma, BCC, SCC or in situ carcinoma."""
        return _decided(self.classes, MALIGNANT)


def _decided(allowed: tuple[int, ...], positives: tuple[int, ...]) -> bool | None:
    inside = [index in positives for index in allowed]
    return None if any(inside) and not all(inside) else inside[0]


def read(data_dir: Path, source: str) -> list[Row]:
    """Rows of `<data_dir>/<source>/<source>.csv` that have a picture and one of our seven labels.

    Raises FileNotFoundError, naming the setting to change, when the table is not there.
    """
    folder = data_dir / source
    table = folder / f"{source}.csv"
    if not table.is_file():
        raise FileNotFoundError(f"no table {table}: point MELALOG_DATA_DIR at the folder that holds {source}/")
    with table.open(newline="") as file:
        return [
            _row(folder, record, source)
            for record in csv.DictReader(file)
            if record["file"] and ALIASES.get(record["dx"], record["dx"]) in CLASSES
        ]


def _row(folder: Path, record: dict[str, str], source: str) -> Row:
    return Row(
        path=folder / record["file"],
        dx=ALIASES.get(record["dx"], record["dx"]),
        group=record["group"],
        split=record["split"],
        source=source,
        lesion=record.get("lesion_id", ""),
        patient=record.get("patient_id", ""),
        age=_age(record.get("age", "")),
        sex=record.get("sex", ""),
        site=record.get("site", ""),
    )


def _age(told: str) -> float | None:
    """ISIC 2017 writes `unknown` where it is not known."""
    return None if told in ("", "unknown") else float(told)


def fold(group: str, folds: int, seed: int) -> int:
    """The fold of a group, 0 to folds - 1: by hash, so it never depends on order or on other rows."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8]) % folds


def split_off(rows: Sequence[Row], folds: int, seed: int) -> tuple[list[Row], list[Row]]:
    """(the other folds, fold 0), no group on both sides."""
    rest = [row for row in rows if fold(row.group, folds, seed) != 0]
    held = [row for row in rows if fold(row.group, folds, seed) == 0]
    return rest, held


def digest(rows: Iterable[Row]) -> str:
    """SHA-256 over file names, labels and groups: which data a model was made from."""
    lines = sorted(f"{row.source}/{row.path.name},{row.dx},{row.group}" for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_csv(path: Path) -> list[Row]:
    """Rows of a table of `melalog data`. Raises ValueError naming the file and the columns that are missing."""
    if not path.is_file():
        raise FileNotFoundError(f"no table {path}")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = {"path", "dx", "group", "split", "source"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path} has no column {', '.join(sorted(missing))}")
        return [_csv_row(path, number, record) for number, record in enumerate(reader, 2)]


def _csv_row(table: Path, number: int, record: dict[str, str]) -> Row:
    dx = ALIASES.get(record["dx"], record["dx"])
    if dx not in CLASSES and dx not in COARSE:
        raise ValueError(f"{table}, line {number}: no such label {dx!r}")
    return Row(
        path=table.parent / record["path"],
        dx=dx,
        group=record["group"],
        split=record["split"],
        source=record["source"],
        lesion=record.get("lesion", ""),
        patient=record.get("patient", ""),
        age=_age(record.get("age", "")),
        sex=record.get("sex", ""),
        site=record.get("site", ""),
        skin_type=record.get("skin_type", ""),
    )
