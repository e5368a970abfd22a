"""One row per labelled picture, whatever data set it came from."""

import csv
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.classifier.data.labels import ALIASES, CLASSES, MALIGNANT, MELANOMA
from models.common.files import replacing

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
        skin_type=record.get("fitspatrick", "").removesuffix(".0"),  # PAD-UFES-20's spelling
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


COLUMNS = ("path", "dx", "malignant", "melanoma", "lesion", "patient", "group", "age", "sex", "site", "skin_type")
"""Of a table of `melalog data`, followed by source and split. `path` is absolute or relative to the table's folder."""
REQUIRED = ("path", "dx", "group", "source", "split")
_FLAGS = {"": None, "0": False, "1": True}


def read_csv(path: Path) -> list[Row]:
    """Rows of a table of `melalog data`. Raises ValueError naming the file, and the columns or the line at fault."""
    if not path.is_file():
        raise FileNotFoundError(f"no table {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{path} has no column {', '.join(missing)}")
            return [_csv_row(path, reader.line_num, record) for record in reader]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    except csv.Error as error:
        raise ValueError(f"{path} is no csv file: {error}") from error


def _csv_row(table: Path, line: int, record: dict[str, str]) -> Row:
    where = f"{table}, line {line}"
    if None in record:
        raise ValueError(f"{where}: more cells than columns")
    cells = {name: cell or "" for name, cell in record.items()}
    dx = ALIASES.get(cells["dx"], cells["dx"])
    if dx not in CLASSES and dx not in COARSE:
        raise ValueError(f"{where}: unknown label {dx!r}; known are {', '.join((*CLASSES, *COARSE))}")
    for name in ("path", "group", "source"):
        if not cells[name]:
            raise ValueError(f"{where}: {name} is empty")
    row = Row(
        path=table.parent / cells["path"],
        dx=dx,
        group=cells["group"],
        split=cells["split"],
        source=cells["source"],
        lesion=cells.get("lesion", ""),
        patient=cells.get("patient", ""),
        age=_told_age(where, cells.get("age", "")),
        sex=cells.get("sex", ""),
        site=cells.get("site", ""),
        skin_type=cells.get("skin_type", ""),
    )
    for name, meant in (("malignant", row.malignant), ("melanoma", row.melanoma)):
        told = cells.get(name, "")
        if told not in _FLAGS or (told and _FLAGS[told] is not meant):
            raise ValueError(f"{where}: {name} is {told!r}, but the label {dx} says {_flag(meant)!r}")
    return row


def _told_age(where: str, told: str) -> float | None:
    try:
        age = _age(told)
    except ValueError:
        age = math.nan
    if age is not None and not 0 <= age <= 130:  # noqa: PLR2004  (nobody was older)
        raise ValueError(f"{where}: {told!r} is no age in years")
    return age


def _flag(value: bool | None) -> str:
    return "" if value is None else str(int(value))


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """Write a table that `read_csv` reads: whole or not at all. Pictures below its folder are named relative to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "source", "split"])
        writer.writeheader()
        writer.writerows(_record(row, path.parent.absolute()) for row in rows)


def _record(row: Row, folder: Path) -> dict[str, str]:
    picture = row.path.absolute()
    return {
        "path": (picture.relative_to(folder) if picture.is_relative_to(folder) else picture).as_posix(),
        "dx": row.dx,
        "malignant": _flag(row.malignant),
        "melanoma": _flag(row.melanoma),
        "lesion": row.lesion,
        "patient": row.patient,
        "group": row.group,
        "age": "" if row.age is None else f"{row.age:g}",
        "sex": row.sex,
        "site": row.site,
        "skin_type": row.skin_type,
        "source": row.source,
        "split": row.split,
    }
