"""What an exported artifact is worth on a named set: the file itself is measured, not the training code."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.classifier import metrics, pictures, table
from models.classifier.artifact import MODEL_FILE, Artifact
from models.classifier.labels import MALIGNANT, MELANOMA

BATCH = 32


@dataclass(frozen=True)
class Endpoint:
    """What counts as positive, and which output says so."""

    name: str
    output: str
    positives: tuple[int, ...]


MELANOMA_ENDPOINT = Endpoint("melanoma", "melanoma", (MELANOMA,))
MALIGNANT_ENDPOINT = Endpoint("malignant", "malignant", MALIGNANT)


def outputs(artifact: Artifact, rows: Sequence[table.Row]) -> dict[str, NDArray[Any]]:
    """Every output of the graph for these pictures, in their order."""
    wanted = artifact.manifest.input
    cache = pictures.load(rows, wanted.size, wanted.geometry, wanted.resample)
    return run(artifact.folder / MODEL_FILE, cache)


def run(model: Path, cache: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Run a graph over prepared pictures uint8 [N, S, S, 3]."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    parts = [session.run(names, {"image": cache[i : i + BATCH]}) for i in range(0, len(cache), BATCH)]
    return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts, strict=True), strict=True)}


def measure(
    found: dict[str, NDArray[Any]], rows: Sequence[table.Row], endpoint: Endpoint, data: str
) -> dict[str, dict[str, Any]]:
    """Each metric with its interval, as the manifest stores it."""
    truth = np.array([row.label in endpoint.positives for row in rows], dtype=np.float64)
    p = found[endpoint.output].astype(np.float64)
    groups = [row.group for row in rows]
    figures = {}
    for name, metric in metrics.METRICS.items():
        value, interval = metrics.bootstrap(metric, truth, p, groups)
        figures[f"{endpoint.name}_{name}"] = {"value": value, "interval": interval, "data": data, "n": len(rows)}
    return figures


def released_rows(data_dir: Path, source: str, split: str) -> list[table.Row]:
    """The rows of one official split. Raises ValueError when there are none."""
    rows = [row for row in table.read(data_dir, source) if row.split == split]
    if not rows:
        raise ValueError(f"{source} has no rows with split = {split}")
    return rows
