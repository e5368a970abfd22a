"""Which rows a run learns from, chooses its epoch on and is calibrated on: no group on two sides."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.classifier.data import table
from models.classifier.data.labels import CLASSES
from models.classifier.training.config import TrainConfig, expand

ENDPOINT_SEED = 1
"""Added to the seed for the validation fold, so that it is cut independently of the calibration fold."""


@dataclass(frozen=True)
class Folds:
    """No group in two of them, and never a test row."""

    train: list[table.Row]
    calibration: list[table.Row]
    validation: list[table.Row] = field(default_factory=list)
    held: list[table.Row] = field(default_factory=list)
    """Kept from everything by `hold_out`, for figures on further sets."""


def make_folds(config: TrainConfig, data_dir: Path) -> Folds:
    """Split by group. Only rows whose official split is `train` are ever used.

    Raises FileNotFoundError for a missing table, ValueError naming an unknown label.
    """
    found = rows(config, data_dir)
    held = _held_out(config, found)
    rest, calibration = _cut(config, _without(found, held), config.calibration_folds, config.fold_seed)
    validation: list[table.Row] = []
    if config.validation_folds:
        rest, validation = _cut(config, rest, config.validation_folds, config.fold_seed + ENDPOINT_SEED)
    return Folds(rest, calibration, validation, held)


def split_validation(config: TrainConfig, rows: Sequence[table.Row]) -> tuple[list[table.Row], list[table.Row]]:
    """(rows to learn from, rows to choose the epoch on) where no calibration fold is set aside."""
    if config.selection is None:
        return list(rows), []
    return _cut(config, rows, config.validation_folds or config.calibration_folds, config.fold_seed + ENDPOINT_SEED)


def learnable(config: TrainConfig, data_dir: Path) -> list[table.Row]:
    """What cross-validation judges and a refit learns: `rows`, but none held out or of a group with a test row."""
    found = _read(config, data_dir)
    usable = _usable(config, found, data_dir)
    return _without(usable, [*_held_out(config, usable), *(row for row in found if row.split == "test")])


def rows(config: TrainConfig, data_dir: Path) -> list[table.Row]:
    """All that a plan may use: rows whose official split is `train`. Raises as `make_folds`."""
    return _usable(config, _read(config, data_dir), data_dir)


def _read(config: TrainConfig, data_dir: Path) -> list[table.Row]:
    if config.table is not None:
        return table.read_csv(expand(config.table))
    return [row for source in config.train_sources for row in table.read(data_dir, source)]


def _usable(config: TrainConfig, found: Sequence[table.Row], data_dir: Path) -> list[table.Row]:
    usable = [row for row in found if row.split == "train"]
    check_labels(usable)
    if not usable:
        raise ValueError(f"{config.table or data_dir} has no rows with split = train: `melalog data split` makes them")
    sources = {row.source for row in usable}
    wanted = set(config.hold_out) | ({config.calibration_source} if config.calibration_source else set())
    if wanted - sources:
        raise ValueError(
            f"no rows of {', '.join(sorted(wanted - sources))} among the sources {', '.join(sorted(sources))}: "
            "set calibration_source (null for all) and hold_out to what there is"
        )
    return usable


def check_labels(rows: Sequence[table.Row]) -> None:
    """Raise ValueError naming the first picture whose label is none we know."""
    for row in rows:
        if row.dx not in CLASSES and row.dx not in table.COARSE:
            known = ", ".join((*CLASSES, *table.COARSE))
            raise ValueError(f"{row.path}: unknown label {row.dx!r}; known are {known}")


def _held_out(config: TrainConfig, found: Sequence[table.Row]) -> list[table.Row]:
    return [part for name, count in config.hold_out.items() for part in _fold(found, name, count, config.fold_seed)]


def _cut(
    config: TrainConfig, rows: Sequence[table.Row], folds: int, seed: int
) -> tuple[list[table.Row], list[table.Row]]:
    """(the rest, one fold of the calibration source), no group on both sides."""
    held = _fold(rows, config.calibration_source, folds, seed)
    return _without(rows, held), held


def _fold(rows: Sequence[table.Row], source: str | None, folds: int, seed: int) -> list[table.Row]:
    return table.split_off([row for row in rows if source in (None, row.source)], folds, seed)[1]


def _without(rows: Sequence[table.Row], held: Sequence[table.Row]) -> list[table.Row]:
    """A group may reach into another source: its rows there must not be learned from either."""
    groups = {row.group for row in held}
    return [row for row in rows if row.group not in groups]


def check(folds: Folds, config: TrainConfig) -> None:
    """Raise ValueError for a fold of one class, by what `selection.endpoint` counts as positive."""
    endpoint = config.selection.endpoint if config.selection else "melanoma"
    require_both(folds.train, endpoint, "the rows to learn from")
    require_both(folds.calibration, endpoint, "the calibration fold")
    if folds.validation:
        require_both(folds.validation, endpoint, "the validation fold")


def require_both(rows: Sequence[table.Row], endpoint: Literal["melanoma", "malignant"], name: str) -> None:
    """Raise ValueError, with the counts, unless there are pictures with and without the endpoint."""
    known = [getattr(row, endpoint) for row in rows if getattr(row, endpoint) is not None]
    positive = sum(known)
    if not 0 < positive < len(known):
        raise ValueError(
            f"{name}: {positive} pictures with {endpoint} and {len(known) - positive} without "
            f"({len(rows) - len(known)} leave it open); both kinds are needed: "
            "see the sources, the numbers of folds and selection.endpoint"
        )


def absent(rows: Sequence[table.Row]) -> list[str]:
    """Diagnoses without a single picture: what the network says of them will mean nothing."""
    found = {row.dx for row in rows}
    return [name for name in CLASSES if name not in found]
