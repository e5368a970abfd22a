"""Out-of-fold predictions: what networks say of pictures they have not learned from.

Calibration, the release gate and fusion read this file.
"""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.classifier.data.labels import CLASSES
from models.classifier.data.table import COARSE, Row
from models.common.files import replacing

FILE = "out_of_fold.csv"
SCORES = tuple(f"score_{name}" for name in CLASSES)
COLUMNS = ("picture", "source", "group", "fold", "dx", "melanoma", "malignant", *SCORES)


@dataclass(frozen=True)
class OutOfFold:
    """One entry per picture, in the file's order; `scores` [N, 7] are uncalibrated.

    `rows` know source, group and label; their path is the picture's SHA-256, and age, sex and site are not kept.
    """

    pictures: list[str]
    rows: list[Row]
    folds: NDArray[np.int64]
    scores: NDArray[np.float64]


def refuse_tests(rows: Sequence[Row]) -> None:
    """Raise ValueError naming the first test row."""
    tests = [row for row in rows if row.split == "test"]
    if tests:
        raise ValueError(f"{tests[0].path} is a test row: test rows may never be in {FILE}")


def write(path: Path, rows: Sequence[Row], folds: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
    """Write the file whole or not at all. Raises ValueError when a test row is among them."""
    refuse_tests(rows)
    with replacing(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row, fold, scored in zip(rows, folds, scores, strict=True):
            known = [_cell(row.melanoma), _cell(row.malignant)]
            writer.writerow(
                [_sha256(row.path), row.source, row.group, fold, row.dx, *known, *map(repr, scored.tolist())]
            )


def read(path: Path) -> OutOfFold:
    """Read what `write` wrote. Raises ValueError naming the file and what is wrong with it."""
    if not path.is_file():
        raise ValueError(
            f"{path} does not exist: `melalog export classifier` writes it into an artifact, and "
            "`melalog cross-validate` into its own folder"
        )
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{path} has no column {', '.join(missing)}")
        records = list(reader)
    if not records:
        raise ValueError(f"{path} has no row")
    folds, scores = [], []
    for number, record in enumerate(records, 2):
        if record["dx"] not in {*CLASSES, *COARSE}:
            raise ValueError(f"{path}, line {number}: no such label {record['dx']!r}")
        try:
            folds.append(int(record["fold"]))
            scores.append([float(record[name]) for name in SCORES])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: fold and scores must be numbers: {error}") from error
    array = np.array(scores)
    if not np.isfinite(array).all():
        raise ValueError(f"{path}, line {2 + int(np.argmin(np.isfinite(array).all(1)))}: a score is not finite")
    rows = [Row(Path(one["picture"]), one["dx"], one["group"], split="train", source=one["source"]) for one in records]
    return OutOfFold([one["picture"] for one in records], rows, np.array(folds), array)


def _cell(known: bool | None) -> str:
    return "" if known is None else str(int(known))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
