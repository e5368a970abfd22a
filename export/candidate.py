"""Finished runs to a candidate for release: calibrated, gated, measured, with its held-out scores and its card."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export import classifier as exporting
from export import gate
from export.ensemble import Loaded
from models.classifier import out_of_fold, pictures, report, table, train
from models.classifier.config import TrainConfig

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Plan:
    """What becomes an artifact. `config` is the plan whose folds all its networks share."""

    loaded: Loaded
    config: TrainConfig
    folds: train.Folds
    version: str
    name: str
    note: str = ""
    views: int = 1


def write(plan: Plan, folder: Path, data: Path, command: str) -> dict[str, dict[str, Any]]:
    """Write the artifact; returns the figures of its card. Test pictures are read here, once, after all is fixed."""
    figures: dict[str, dict[str, Any]] = {}

    def finish(unfinished: Path) -> None:
        _describe(plan, unfinished)
        _keep_held_out(plan, unfinished)
        figures.update(report.measure_release(unfinished, data))
        exporting.add_metrics(unfinished, figures)
        report.write_card(unfinished)

    exporting.write(
        folder,
        plan.loaded.network,
        plan.config,
        plan.folds,
        plan.version,
        finish,
        views=plan.views,
        gate_rows=gate.rows(plan.folds, data),
        provenance={
            "config": plan.config.model_dump(mode="json"),
            "command": command,
            "commit": commit(),
            "data": table.digest(plan.folds.train),
            "network_sha256": plan.loaded.sha256,
            "out_of_fold": out_of_fold.FILE,
        },
    )
    return figures


def _describe(plan: Plan, folder: Path) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest |= {"name": plan.name, "networks": list(plan.loaded.backbones)}
    if plan.note:
        manifest["training_note"] = plan.note
    path.write_text(json.dumps(manifest, indent=2) + "\n")


def _keep_held_out(plan: Plan, folder: Path) -> None:
    """Uncalibrated scores of the calibration fold, which no network of the plan has learned from."""
    rows, config = plan.folds.calibration, plan.config
    cache = pictures.load(rows, config.input_size, config.geometry, config.resample)
    scores = train.raw_scores(plan.loaded.network, cache)
    out_of_fold.write(folder / out_of_fold.FILE, rows, np.zeros(len(rows), np.int64), scores)


def commit() -> str:
    """The code's commit, marked where files differ from it; empty outside a checkout."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stdout.strip()
