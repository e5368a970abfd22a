"""Write a trained classifier as an artifact folder (graph, manifest, card), whole or not at all."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from export import fit_ood, graph
from export.graph import HeatmapError, ParityError
from models.classifier.calibration import class_scores as calibration
from models.classifier.calibration import conformal
from models.classifier.calibration.class_scores import Array, Method, ScoreCalibration, melanoma_logit
from models.classifier.data import image_pool, table
from models.classifier.data.labels import CLASSES, MALIGNANT, MELANOMA
from models.classifier.evaluation import statistics
from models.classifier.network.networks import VIEWS, Served
from models.classifier.network.ood import OodDetector
from models.classifier.serving.artifact import MODEL_FILE
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import Folds
from models.classifier.training.scores import raw_scores
from models.common.artifact import sha256
from models.common.views import turned

__all__ = [
    "Calibrated",
    "HeatmapError",
    "ParityError",
    "add_metrics",
    "by_view",
    "calibrate",
    "from_scores",
    "scores",
    "write",
    "write_graph",
]

ALPHA = 0.1
"""Conformal sets may miss the diagnosis in this share of the images of each class."""
CHECKED = 8
"""Real images on which the graph is compared with torch and the heat map with Grad-CAM."""
OWN_LICENCE = "as the terms of the images in the table allow"
TURNED = 500
"""Images to measure the effect of turning on the logit, for a network calibrated on out-of-fold scores."""


@dataclass(frozen=True)
class Calibrated:
    """A calibration and its figures on the calibration fold; `data` names the fold if it is not the plan's."""

    calibration: ScoreCalibration
    prevalence: float
    malignant_prevalence: float
    logit_sd: float
    thresholds: dict[str, dict[str, float]]
    conformal: dict[str, Any]
    n: int
    data: str = ""


def calibrate(
    network: nn.Module, rows: Sequence[table.Row], config: TrainConfig, views: int = 1, method: Method = "bcts"
) -> Calibrated:
    """Fit the calibration on held-out rows, and measure the effect of turning on the logit."""
    labelled = [row for row in rows if len(row.classes) == 1]
    by_views = by_view(network, labelled, config)
    by_selected_view = [by_views[VIEWS[8].index(view)] for view in VIEWS[views]]
    labels, groups = np.array([row.label for row in labelled]), [row.group for row in labelled]
    return from_scores(np.mean(by_selected_view, axis=0), labels, groups, by_views, method)


def by_view(network: nn.Module, rows: Sequence[table.Row], config: TrainConfig) -> list[Array]:
    """Uncalibrated scores [N, C] of each of the eight turns and mirrors."""
    cache = image_pool.load(rows, config.input_size, config.geometry, config.resample)
    return [raw_scores(network, turned(cache, view)) for view in VIEWS[8]]


def scores(network: nn.Module, cache: NDArray[np.uint8], views: int) -> Array:
    """Uncalibrated scores [N, C], averaged over the views as the graph does it. cache: uint8 [N, S, S, 3]."""
    mean: Array = np.mean([raw_scores(network, turned(cache, view)) for view in VIEWS[views]], axis=0)
    return mean


def from_scores(
    raw: Array,
    labels: NDArray[np.int64],
    groups: Sequence[str],
    turned: Sequence[Array],
    method: Method = "bcts",
    data: str = "",
) -> Calibrated:
    """From uncalibrated held-out (or out-of-fold) scores [N, C]; `turned`: those of single turns and mirrors.

    The standard deviation of the logit is that of one view, however many the graph averages: it represents uncertainty.
    """
    fitted = calibration.fit(raw, labels, method=method)
    p = softmax(fitted.apply(raw), axis=1)
    measured = conformal.measure(p, labels, groups, ALPHA)
    truth = {"": labels == MELANOMA, "malignant_": np.isin(labels, MALIGNANT)}
    predicted = {"": p[:, MELANOMA], "malignant_": p[:, list(MALIGNANT)].sum(1)}
    logits = [melanoma_logit(fitted.apply(one)) for one in turned]
    return Calibrated(
        calibration=fitted,
        prevalence=float(truth[""].mean()),
        malignant_prevalence=float(truth["malignant_"].mean()),
        logit_sd=float(np.sqrt(np.var(np.stack(logits), axis=0, ddof=1).mean())),
        thresholds={f"{name}sensitivity_95": _threshold(truth[name], predicted[name]) for name in truth},
        conformal={
            "alpha": ALPHA,
            "thresholds": dict(zip(CLASSES, conformal.fit(p, labels, ALPHA), strict=True)),
            "coverage": measured.overall,
            "class_coverage": dict(zip(CLASSES, measured.of_class, strict=True)),
            "set_size": measured.set_size,
        },
        n=len(labels),
        data=data,
    )


def _threshold(truth: NDArray[np.bool_], p: Array) -> dict[str, float]:
    cut = statistics.threshold_at_sensitivity(truth.astype(np.float64), p)
    return {
        "value": cut,
        "sensitivity": float((p[truth] >= cut).mean()),
        "specificity": float((p[~truth] < cut).mean()),
    }


def write_graph(
    network: nn.Module,
    fitted: ScoreCalibration,
    size: int,
    path: Path,
    module: OodDetector | None = None,
    views: int = 1,
    checked: NDArray[np.uint8] | None = None,
) -> None:
    """Export to ONNX with a free batch size, and check it on images uint8 [N, size, size, 3].

    Raises ParityError when its outputs differ from torch, HeatmapError when its heat map differs from Grad-CAM.
    """
    if checked is not None:
        graph.check_heatmap(network, checked)
    graph.write(Served(network, fitted, module, views), size, path, checked)


def write(
    folder: Path,
    network: nn.Module,
    config: TrainConfig,
    folds: Folds,
    version: str,
    finish: Callable[[Path], None] = lambda _: None,
    *,
    views: int = 1,
    ood_rows: fit_ood.Rows | None = None,
    provenance: dict[str, Any] | None = None,
    calibrated: Calibrated | None = None,
) -> Path:
    """Calibrate, export and describe a network in `folder`, which is replaced only when everything succeeded.

    `finish` may add files (figures, a card) before the folder is replaced. `ood_rows`: None fits no OOD detector.
    `calibrated`: from out-of-fold scores; None calibrates on the calibration fold.
    """
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        calibrated = calibrated or calibrate(network, folds.calibration, config, views)
        detector = fit_ood.make(network, views, config, ood_rows) if ood_rows else None
        some = folds.calibration[:: max(1, len(folds.calibration) // CHECKED)][:CHECKED]
        checked = image_pool.load(some, config.input_size, config.geometry, config.resample)
        model = unfinished / MODEL_FILE
        write_graph(
            network,
            calibrated.calibration,
            config.input_size,
            model,
            detector.module if detector else None,
            views,
            checked,
        )
        manifest = _manifest(model, calibrated, config, folds, version)
        manifest |= {"views": views, **(detector.manifest if detector else {}), "provenance": provenance}
        (unfinished / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        finish(unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        return folder
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # a failed export; a whole one was renamed


def _manifest(model: Path, fold: Calibrated, config: TrainConfig, folds: Folds, version: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": config.backbone,
        "version": version,
        "input": {"size": config.input_size, "geometry": config.geometry, "resample": config.resample},
        "classes": CLASSES,
        "calibration": {
            "data": fold.data
            or f"{config.calibration_source or 'all sources'} train, fold 0 of {config.calibration_folds} by group",
            "n": fold.n,
            "prevalence": fold.prevalence,
            "malignant_prevalence": fold.malignant_prevalence,
            "logit_sd": fold.logit_sd,
            **asdict(fold.calibration),
        },
        "ood_threshold": None,
        "conformal": fold.conformal,
        "files": {model.name: {"sha256": sha256(model), "thresholds": fold.thresholds, "metrics": {}}},
        "training": config.model_dump(mode="json"),
        "training_note": "Trained in one run with the configuration in manifest.json.",
        "training_data_sha256": table.digest(folds.train),
        "licence": OWN_LICENCE if config.table else "CC-BY-NC-4.0 (from the training data)",
    }


def add_metrics(folder: Path, figures: dict[str, dict[str, Any]]) -> None:
    """Write measured figures into the manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][MODEL_FILE]["metrics"].update(figures)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(manifest, indent=2) + "\n")
    unfinished.rename(path)
