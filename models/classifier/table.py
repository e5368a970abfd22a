"""One row per labelled picture, whatever data set it came from."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.classifier.labels import ALIASES, CLASSES


@dataclass(frozen=True)
class Row:
    """A labelled picture. Nothing of one `group` may stand on two sides of any split."""

    path: Path
    label: int
    group: str
    split: str
    source: str


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
            Row(folder / row["file"], CLASSES.index(dx), row["group"], row["split"], source)
            for row in csv.DictReader(file)
            if row["file"] and (dx := ALIASES.get(row["dx"], row["dx"])) in CLASSES
        ]


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
    lines = sorted(f"{row.source}/{row.path.name},{CLASSES[row.label]},{row.group}" for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
