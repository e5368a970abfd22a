"""Further files of the same network in one artifact: each with its own hash, thresholds and figures."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from models.classifier import evaluate, metrics, pictures, table, train
from models.classifier.artifact import MODEL_FILE, Artifact, sha256
from models.classifier.config import TrainConfig
from models.classifier.labels import MELANOMA
from models.classifier.metrics import Array

MAX_AUC_LOSS = 0.005
"""Melanoma AUC that a file may lose against fp32."""
ROUNDS = 20


def add(artifact: Artifact, name: str, precision: str, write: Callable[[Path], None], entry: dict[str, Any]) -> None:
    """Let `write` make the file `name`, and name it in the manifest.

    Whole or not at all: whenever it is stopped, the folder loads, with the variant or without.
    """
    folder = artifact.folder
    manifest = json.loads((folder / "manifest.json").read_text())
    others = {file: told for file, told in manifest["files"].items() if file != name}
    default = manifest.get("default", MODEL_FILE)
    unfinished = folder / f"{name}.unfinished"
    try:
        write(unfinished)
        told = {"sha256": sha256(unfinished), "precision": precision, **entry}
        if name in manifest["files"]:  # the old file's hash would be wrong for the new one
            _replace(folder, manifest | {"files": others, "default": MODEL_FILE if default == name else default})
        unfinished.replace(folder / name)
        _replace(folder, manifest | {"files": others | {name: told}})
    finally:
        unfinished.unlink(missing_ok=True)
    Artifact.load(folder)


def _replace(folder: Path, manifest: dict[str, Any]) -> None:
    unfinished = folder / "manifest.json.unfinished"
    try:
        unfinished.write_text(json.dumps(manifest, indent=2) + "\n")
        unfinished.replace(folder / "manifest.json")
    finally:
        unfinished.unlink(missing_ok=True)


def measured(artifact: Artifact, model: Path, rows: Sequence[table.Row], data: str) -> dict[str, Any]:
    """Thresholds and figures of a file on held-out rows, as the manifest keeps them."""
    p, truth = melanoma(artifact, model, rows)
    cut = metrics.threshold_at_sensitivity(truth, p)
    groups = [row.group for row in rows]
    value, interval = metrics.bootstrap(metrics.METRICS["auc"], truth, p, groups)
    return {
        "thresholds": {
            "sensitivity_95": {
                "value": cut,
                "sensitivity": float((p[truth == 1] >= cut).mean()),
                "specificity": float((p[truth == 0] < cut).mean()),
            }
        },
        "metrics": {"held_out_melanoma_auc": {"value": value, "interval": interval, "data": data, "n": len(rows)}},
    }


def melanoma(artifact: Artifact, model: Path, rows: Sequence[table.Row]) -> tuple[Array, Array]:
    """(probabilities [N], truth [N]) of one of the artifact's files."""
    wanted = artifact.manifest.input
    cache = pictures.load(rows, wanted.size, wanted.geometry, wanted.resample)
    return (
        evaluate.run(model, cache)["melanoma"].astype(np.float64),
        np.array([row.label == MELANOMA for row in rows], np.float64),
    )


@dataclass(frozen=True)
class Judged:
    """A file against the fp32 graph. speed: pictures per second of one over the other, each with its 95 % interval."""

    auc_change: float
    auc_interval: tuple[float, float]
    speed: float
    speed_interval: tuple[float, float]

    @property
    def worth_shipping(self) -> bool:
        """Surely faster, and no worse than allowed."""
        return self.speed_interval[0] > 1 and self.auc_change >= -MAX_AUC_LOSS

    def __str__(self) -> str:
        """For the person who ran it."""
        auc = "{:+.4f} ({:+.4f} to {:+.4f})".format(self.auc_change, *self.auc_interval)
        speed = "{:.2f} ({:.2f} to {:.2f})".format(self.speed, *self.speed_interval)
        return f"melanoma AUC {auc}, speed x {speed} of fp32"


def judge(artifact: Artifact, model: Path, rows: Sequence[table.Row]) -> Judged:
    """Measure a file against the artifact's fp32 graph on held-out rows, in the same run."""
    p, truth = melanoma(artifact, model, rows)
    reference, _ = melanoma(artifact, artifact.folder / MODEL_FILE, rows)
    groups = [row.group for row in rows]
    change, interval = metrics.paired(metrics.METRICS["auc"], truth, p, reference, groups)
    speed, speed_interval = _speed(artifact, model)
    return Judged(change, interval, speed, speed_interval)


def _speed(artifact: Artifact, model: Path) -> tuple[float, tuple[float, float]]:
    """Median and 95 % range of the ratio over rounds in which both run, one after the other."""
    size = artifact.manifest.input.size
    batch = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), np.uint8)
    sessions = [
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        for file in (model, artifact.folder / MODEL_FILE)
    ]
    ratios = []
    for _ in range(ROUNDS):
        took = []
        for session in sessions:
            start = time.perf_counter()
            session.run(["melanoma"], {"image": batch})
            took.append(time.perf_counter() - start)
        ratios.append(took[1] / took[0])
    low, middle, high = np.percentile(ratios, [2.5, 50, 97.5])
    return float(middle), (float(low), float(high))


def folds(artifact: Artifact, data: Path) -> train.Folds:
    """The rows an artifact learned from, and those held out. Raises ValueError for another training's manifest."""
    record = json.loads((artifact.folder / "manifest.json").read_text())
    return train.make_folds(TrainConfig.model_validate(record["training"]), data)
