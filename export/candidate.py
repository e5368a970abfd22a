"""From finished runs to a release candidate: calibration, OOD detector, figures, held-out scores and card."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export import classifier_folder, fit_ood, held_out
from export.ensemble import Loaded
from models.classifier.calibration import out_of_fold
from models.classifier.data import image_pool, table
from models.classifier.release import classifier_card, release_figures
from models.classifier.training import folds as rows_of
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import Folds
from models.common.artifact import sha256

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class CandidatePlan:
    """The networks and settings of a candidate. `config` is the training plan whose folds all its networks share.

    predictions: out-of-fold CSV to calibrate on, for networks that were trained on the calibration fold.
    """

    loaded: Loaded
    config: TrainConfig
    folds: Folds
    version: str
    name: str
    note: str = ""
    views: int = 1
    predictions: Path | None = None


def write(plan: CandidatePlan, folder: Path, data: Path, command: str) -> dict[str, dict[str, Any]]:
    """Write the artifact; returns the figures of its card. Test images are read here, once, after calibration."""
    figures: dict[str, dict[str, Any]] = {}
    learned = table.digest(rows_of.rows(plan.config, data) if plan.predictions else plan.folds.train)

    def finish(unfinished: Path) -> None:
        _describe(plan, unfinished, _save_held_out(plan, unfinished))
        _update(unfinished, {"training_data_sha256": learned})
        measured = release_figures.measure_release(unfinished, data)
        figures.update(measured.figures)
        classifier_folder.add_metrics(unfinished, figures)
        _update(unfinished, {"subgroups": measured.subgroups, "not_measured": measured.skipped})
        classifier_card.write(unfinished)

    classifier_folder.write(
        folder,
        plan.loaded.network,
        plan.config,
        plan.folds,
        plan.version,
        finish,
        views=plan.views,
        ood_rows=fit_ood.rows(plan.folds, data),
        provenance={
            "config": plan.config.model_dump(mode="json"),
            "command": command,
            "commit": commit(),
            "data": learned,
            "network_sha256": plan.loaded.sha256,
            "out_of_fold": out_of_fold.FILE,
            "cross_validated": plan.predictions is not None,
        },
        calibrated=_from_predictions(plan) if plan.predictions else None,
    )
    return figures


def _from_predictions(plan: CandidatePlan) -> classifier_folder.Calibrated:
    """Calibrate on out-of-fold predictions of the plan's calibration source with a known diagnosis.

    The effect of turning on the logit is measured on the exported network, on images of the calibration fold.
    """
    if plan.predictions is None:
        raise ValueError("there are no out-of-fold predictions")
    if plan.views != 1:
        raise ValueError(f"out-of-fold predictions are of one view: they cannot calibrate {plan.views} views")
    predictions, source = out_of_fold.read(plan.predictions), plan.config.calibration_source
    number = len(set(predictions.folds.tolist()))
    if number == 1:
        raise ValueError(f"{plan.predictions} has one fold alone: `melalog cross-validate` writes one of several")
    indices = [i for i, row in enumerate(predictions.rows) if len(row.classes) == 1 and source in (None, row.source)]
    outcomes = {predictions.rows[i].melanoma for i in indices}
    if outcomes != {True, False}:
        raise ValueError(f"{plan.predictions} lacks images with or without melanoma of {source or 'any source'}")
    rows = [predictions.rows[i] for i in indices]
    some = [row for row in plan.folds.calibration if len(row.classes) == 1]
    return classifier_folder.from_scores(
        predictions.scores[indices],
        np.array([row.label for row in rows]),
        [row.group for row in rows],
        classifier_folder.by_view(
            plan.loaded.network, some[:: max(1, len(some) // classifier_folder.TURNED)], plan.config
        ),
        data=f"out-of-fold predictions of {number} folds by group, {source or 'all sources'} train",
    )


def _describe(plan: CandidatePlan, folder: Path, hashes: dict[str, str]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    changes: dict[str, Any] = {
        "name": plan.name,
        "networks": list(plan.loaded.backbones),
        "provenance": manifest["provenance"] | hashes,
    }
    _update(folder, changes | ({"training_note": plan.note} if plan.note else {}))


def _update(folder: Path, changes: dict[str, Any]) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=2) + "\n")


def _save_held_out(plan: CandidatePlan, folder: Path) -> dict[str, str]:
    """Save uncalibrated held-out scores; returns their hashes for the provenance.

    The scores are the network's on the calibration fold, or out-of-fold predictions. With the latter, some scores of
    the exported network are saved too, so that the release gate can verify which calibration is in the file.
    """
    rows = plan.folds.calibration
    path = folder / out_of_fold.FILE
    if plan.predictions is None:
        _score(plan, rows, path)
        return {"out_of_fold_sha256": sha256(path)}
    shutil.copyfile(plan.predictions, path)
    _score(plan, rows[:: max(1, len(rows) // held_out.SAMPLE)], folder / held_out.SERVED)
    return {"out_of_fold_sha256": sha256(path), "served_scores_sha256": sha256(folder / held_out.SERVED)}


def _score(plan: CandidatePlan, rows: list[table.Row], path: Path) -> None:
    config = plan.config
    cache = image_pool.load(rows, config.input_size, config.geometry, config.resample)
    scores = classifier_folder.scores(plan.loaded.network, cache, plan.views)
    out_of_fold.write(path, rows, np.zeros(len(rows), np.int64), scores)


def commit() -> str:
    """The code's commit, marked dirty when files differ from it; empty outside a checkout."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip()
