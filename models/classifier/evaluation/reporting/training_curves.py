"""A run's metrics.jsonl: one JSON object per epoch, whatever figures it holds."""

import json
import math
from pathlib import Path

from models.classifier.evaluation.reporting import plots

FILE = "metrics.jsonl"
_SIZES = ("size", "frozen", "seconds", "stage", "phase")
"""Numbers that describe the plan rather than what came of it."""


def read(path: Path) -> tuple[list[float], dict[str, list[float]]]:
    """Epochs, and every number by name (NaN where an epoch has none). `path`: the file, or the run's folder.

    Raises ValueError naming the file and the line.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{file} does not exist: name a run's folder, or its {FILE}")
    lines = [_line(file, number, text) for number, text in enumerate(file.read_text().splitlines(), 1) if text.strip()]
    if not lines:
        raise ValueError(f"{file} has no line: the run has not finished an epoch yet")
    names = {name: None for line in lines for name in line if name != "epoch"}
    epochs = [line.get("epoch", float(number)) for number, line in enumerate(lines, 1)]
    return epochs, {name: [line.get(name, math.nan) for line in lines] for name in names}


def _line(file: Path, number: int, text: str) -> dict[str, float]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{file}, line {number}, is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file}, line {number}, is not an object of figures")  # noqa: TRY004  (bad data, not a bad call)
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float) and value is not True}


def curves(path: Path) -> list[plots.Plot]:
    """Losses in one plot, learning rates in another, all other figures in a third."""
    epochs, series = read(path)
    kinds: dict[str, dict[str, list[float]]] = {"loss": {}, "learning rate": {}, "figures on validation rows": {}}
    for name, values in series.items():
        if name not in _SIZES:
            is_rate = name in ("lr", "rate", "learning_rate") or name.startswith("lr_")
            kind = "loss" if "loss" in name else "learning rate" if is_rate else "figures on validation rows"
            kinds[kind][name] = values
    return [plots.training(epochs, found, kind) for kind, found in kinds.items() if found]
