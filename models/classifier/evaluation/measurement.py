"""What an exported artifact is worth on a named set: the file itself is measured, not the training code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.progress import track

from models.classifier.data import image_pool, table
from models.classifier.data.labels import MALIGNANT, MELANOMA
from models.classifier.evaluation import statistics
from models.classifier.evaluation.statistics import Array
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact

BATCH = 32
Outputs = Mapping[str, NDArray[Any]]
Figures = dict[str, dict[str, Any]]
"""Figure name to value, interval, data and n, as the manifest stores it."""


@dataclass(frozen=True)
class Endpoint:
    """What counts as positive, and which output says so."""

    name: str
    output: str
    positives: tuple[int, ...]

    def truth(self, row: table.Row) -> bool | None:
        """None where a coarse label leaves the endpoint open."""
        inside = {index in self.positives for index in row.classes}
        return inside.pop() if len(inside) == 1 else None


MELANOMA_ENDPOINT = Endpoint("melanoma", "melanoma", (MELANOMA,))
MALIGNANT_ENDPOINT = Endpoint("malignant", "malignant", MALIGNANT)


@dataclass(frozen=True)
class Decided:
    """The pictures whose labels decide an endpoint: outcome, probability and group of each, and their row numbers."""

    truth: Array
    p: Array
    groups: list[str]
    rows: NDArray[np.int64]

    def part(self, chosen: NDArray[np.bool_]) -> "Decided":
        """Some of them."""
        kept = np.flatnonzero(chosen)
        return Decided(self.truth[kept], self.p[kept], [self.groups[i] for i in kept], self.rows[kept])


def decide(found: Outputs, rows: Sequence[table.Row], endpoint: Endpoint) -> Decided:
    """Leave out what a coarse label leaves open. Raises ValueError when only one class is left."""
    known = [(index, truth) for index, row in enumerate(rows) if (truth := endpoint.truth(row)) is not None]
    truths = {truth for _, truth in known}
    if len(truths) < 2:  # noqa: PLR2004
        told = "is labelled as" if truths == {True} else "is labelled as anything but"
        detail = f"every one of {len(known)} pictures {told} {endpoint.name}" if known else "no label decides it"
        raise ValueError(f"{endpoint.name} cannot be measured here: {detail}, and both kinds are needed")
    kept = np.array([index for index, _ in known])
    return Decided(
        truth=np.array([truth for _, truth in known], dtype=np.float64),
        p=found[endpoint.output][kept].astype(np.float64),
        groups=[rows[index].group for index in kept],
        rows=kept,
    )


def outputs(artifact: ClassifierArtifact, rows: Sequence[table.Row], file: str = MODEL_FILE) -> dict[str, NDArray[Any]]:
    """Every output of the graph for these pictures, in their order."""
    return run(artifact.folder / file, prepared(artifact, rows))


def prepared(artifact: ClassifierArtifact, rows: Sequence[table.Row]) -> NDArray[np.uint8]:
    """The graph's input for these pictures, uint8 [N, S, S, 3]. Raises ValueError naming one that cannot be read."""
    wanted = artifact.manifest.input
    return image_pool.load(rows, wanted.size, wanted.geometry, wanted.resample)


def run(model: Path, cache: NDArray[np.uint8], doing: str = "") -> dict[str, NDArray[Any]]:
    """Run a graph over prepared pictures uint8 [N, S, S, 3]; `doing` labels a progress bar."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    starts = track(range(0, len(cache), BATCH), description=doing, disable=not doing)
    parts = [session.run(names, {"image": cache[i : i + BATCH]}) for i in starts]
    return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts, strict=True), strict=True)}


def measure(found: Outputs, rows: Sequence[table.Row], endpoint: Endpoint, data: str) -> Figures:
    """Each metric with its interval, as the manifest stores it. Raises ValueError when only one class is there."""
    return figures(statistics.METRICS, decide(found, rows, endpoint), data, endpoint.name + "_")


def figures(wanted: Mapping[str, statistics.Metric], decided: Decided, data: str, prefix: str = "") -> Figures:
    """Metrics with intervals; one that is not defined on these pictures is left out."""
    measured = statistics.bootstrap_all(wanted, decided.truth, decided.p, decided.groups)
    return {
        f"{prefix}{name}": {"value": value, "interval": interval, "data": data, "n": len(decided.p)}
        for name, (value, interval) in measured.items()
        if np.isfinite([value, *interval]).all()
    }


def released_rows(data_dir: Path, source: str, split: str) -> list[table.Row]:
    """The rows of one official split. Raises ValueError when there are none."""
    rows = [row for row in table.read(data_dir, source) if row.split == split]
    if not rows:
        raise ValueError(f"{source} has no rows with split = {split}")
    return rows
