"""Variants of the network in one artifact: files of other precision, each with hash, thresholds and figures."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from models.classifier.data import table
from models.classifier.evaluation import measurement, statistics
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import Folds, make_folds
from models.common.artifact import sha256

MAX_AUC_LOSS = 0.005
"""Melanoma AUC that a file may lose against fp32."""
MAX_DIFFERENCE = 0.01
"""Largest change of a probability for a file that differs by rounding only."""
ROUNDS, REPEATS, BATCH = 30, 2000, 8


def add(
    artifact: ClassifierArtifact,
    name: str,
    precision: str,
    write: Callable[[Path], object],
    entry: dict[str, Any],
    *,
    default: bool = False,
) -> None:
    """Write the file `name` with `write`, and add it to the manifest.

    Atomic: if interrupted, the folder still loads, with or without the variant. `default`: serve it on
    the CPU from now on.
    """
    folder = artifact.folder
    manifest = json.loads((folder / "manifest.json").read_text())
    others = {file: fields for file, fields in manifest["files"].items() if file != name}
    served = manifest.get("default", MODEL_FILE)
    unfinished = folder / f"{name}.unfinished"
    try:
        write(unfinished)
        fields = {"sha256": sha256(unfinished), "precision": precision, **entry}
        if name in manifest["files"]:  # the old file's hash would be wrong for the new one
            _replace(folder, manifest | {"files": others, "default": MODEL_FILE if served == name else served})
        unfinished.replace(folder / name)
        _replace(folder, manifest | {"files": others | {name: fields}, "default": name if default else served})
    finally:
        unfinished.unlink(missing_ok=True)
    ClassifierArtifact.load(folder)


def set_field(artifact: ClassifierArtifact, field: str, value: dict[str, Any]) -> None:
    """Set one field of the manifest; the folder loads before and after."""
    manifest = json.loads((artifact.folder / "manifest.json").read_text())
    _replace(artifact.folder, manifest | {field: value})
    ClassifierArtifact.load(artifact.folder)


def _replace(folder: Path, manifest: dict[str, Any]) -> None:
    unfinished = folder / "manifest.json.unfinished"
    try:
        unfinished.write_text(json.dumps(manifest, indent=2) + "\n")
        unfinished.replace(folder / "manifest.json")
    finally:
        unfinished.unlink(missing_ok=True)


def measured(decided: measurement.Decided, data: str) -> dict[str, Any]:
    """Thresholds and figures of a file on held-out rows, as manifest fields."""
    p, truth = decided.p, decided.truth
    cut = statistics.threshold_at_sensitivity(truth, p)
    return {
        "thresholds": {
            "sensitivity_95": {
                "value": cut,
                "sensitivity": float((p[truth == 1] >= cut).mean()),
                "specificity": float((p[truth == 0] < cut).mean()),
            }
        },
        "metrics": measurement.figures({"auc": statistics.METRICS["auc"]}, decided, data, "held_out_melanoma_"),
    }


@dataclass(frozen=True)
class VariantComparison:
    """A file against the fp32 graph, with 95 % intervals. speed: ratio of images per second.

    difference: the largest change of a melanoma probability. decided: the predictions of the file.
    """

    auc_change: float
    auc_interval: tuple[float, float]
    speed: float
    speed_interval: tuple[float, float]
    difference: float
    decided: measurement.Decided

    @property
    def accurate(self) -> bool:
        """Whether the AUC loss is within MAX_AUC_LOSS."""
        return self.auc_change >= -MAX_AUC_LOSS

    @property
    def worth_shipping(self) -> bool:
        """Whether it is accurate and faster: the lower end of the speed interval is above 1."""
        return self.speed_interval[0] > 1 and self.accurate

    @property
    def same(self) -> bool:
        """Whether probabilities differ by rounding only."""
        return self.difference <= MAX_DIFFERENCE

    def __str__(self) -> str:
        """One line for the console."""
        auc = "{:+.4f} ({:+.4f} to {:+.4f})".format(self.auc_change, *self.auc_interval)
        speed = "{:.2f} ({:.2f} to {:.2f})".format(self.speed, *self.speed_interval)
        return f"melanoma AUC {auc}, p changes by at most {self.difference:.4f}, speed x {speed} of fp32"


def compare(artifact: ClassifierArtifact, model: Path, rows: Sequence[table.Row]) -> VariantComparison:
    """Measure a file against the artifact's fp32 graph on held-out rows, in the same run."""
    cache = measurement.prepared(artifact, rows)
    files = (model, artifact.folder / MODEL_FILE)
    new, old = (measurement.decide(measurement.run(file, cache), rows, measurement.MELANOMA_ENDPOINT) for file in files)
    change, interval = statistics.paired(statistics.METRICS["auc"], new.truth, new.p, old.p, new.groups)
    new_s, old_s = _times(files, cache[:BATCH])
    return VariantComparison(change, interval, *ratio(old_s, new_s), float(np.abs(new.p - old.p).max()), new)


def _times(models: Sequence[Path], batch: NDArray[np.uint8]) -> list[list[float]]:
    """Seconds per run of each graph, in rounds of all graphs, in alternating order."""
    sessions = [onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]) for model in models]
    taken: list[list[float]] = [[] for _ in sessions]
    for number in range(-1, ROUNDS):  # the first is to warm up
        for index in sorted(range(len(sessions)), reverse=bool(number % 2)):
            start = time.perf_counter()
            sessions[index].run(["melanoma"], {"image": batch})
            if number >= 0:
                taken[index].append(time.perf_counter() - start)
    return taken


def ratio(old: Sequence[float], new: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """(median of old / new over paired rounds, 95 % bootstrap interval of that median)."""
    ratios = np.asarray(old) / np.asarray(new)
    drawn = np.random.default_rng(0).choice(ratios, (REPEATS, len(ratios)))
    return float(np.median(ratios)), statistics.interval(np.median(drawn, axis=1))


def folds(artifact: ClassifierArtifact, data: Path, config: str = "") -> Folds:
    """Training and held-out rows of an artifact, by the manifest's plan or by `config`.

    Raises ValueError when the plan cannot be read or gives other training rows.
    """
    record = json.loads((artifact.folder / "manifest.json").read_text())
    try:
        plan = TrainConfig.load(config) if config else TrainConfig.model_validate(record["training"])
    except (KeyError, ValidationError) as error:
        if config:
            raise
        raise ValueError(
            f"the plan in {artifact.folder / 'manifest.json'} is missing or of another version of Melalog: name the "
            "plan that the model was trained by with --config (a file, or a name in models/classifier/configs)"
        ) from error
    artifact_folds = make_folds(plan, data)
    if table.digest(artifact_folds.train) != artifact.manifest.training_data_sha256:
        raise ValueError(
            f"the training rows of this plan in {data} are not those that {artifact.folder} learned from: held-out "
            "images might be among them. Name its own plan with --config, and the same data"
        )
    return artifact_folds
