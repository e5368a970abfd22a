"""A trained classifier as a released folder: graph, manifest, card. Nothing half-written is ever left."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from models.classifier import calibration, evaluate, metrics, pictures, table, train
from models.classifier.artifact import MODEL_FILE, sha256
from models.classifier.calibration import Calibration
from models.classifier.config import TrainConfig
from models.classifier.labels import CLASSES, MALIGNANT, MELANOMA
from models.classifier.network import Served

OPSET = 20
PARITY = 1e-4


class ParityError(RuntimeError):
    """The exported graph does not compute what the network computes."""


@dataclass(frozen=True)
class Calibrated:
    """A calibration and what was measured on the fold it was fitted on."""

    calibration: Calibration
    prevalence: float
    malignant_prevalence: float
    logit_sd: float
    threshold_95: dict[str, float]
    n: int


def calibrate(network: nn.Module, rows: Sequence[table.Row], config: TrainConfig) -> Calibrated:
    """Fit the calibration on held-out rows, and measure how far turning a picture moves its logit."""
    cache = pictures.load(rows, config.input_size, config.geometry, config.resample)
    labels = np.array([row.label for row in rows])
    raw = train.raw_scores(network, cache)
    fitted = calibration.fit(raw, labels)
    truth = (labels == MELANOMA).astype(np.float64)
    scores = fitted.apply(raw)
    p = np.exp(scores[:, MELANOMA] - np.logaddexp.reduce(scores, axis=1))
    cut = metrics.threshold_at_sensitivity(truth, p)
    return Calibrated(
        calibration=fitted,
        prevalence=float(truth.mean()),
        malignant_prevalence=float(np.isin(labels, MALIGNANT).mean()),
        logit_sd=_logit_sd(network, cache, fitted),
        threshold_95={
            "value": cut,
            "sensitivity": float((p[truth == 1] >= cut).mean()),
            "specificity": float((p[truth == 0] < cut).mean()),
        },
        n=len(rows),
    )


def _logit_sd(network: nn.Module, cache: NDArray[np.uint8], fitted: Calibration) -> float:
    """Deviation of the melanoma logit over the eight turns and mirrors of a picture, pooled over pictures."""
    logits = []
    for mirrored in (cache, cache[:, :, ::-1]):
        for turns in range(4):
            view = np.ascontiguousarray(np.rot90(mirrored, turns, axes=(1, 2)))
            scores = fitted.apply(train.raw_scores(network, view))
            others = np.delete(scores, MELANOMA, axis=1)
            logits.append(scores[:, MELANOMA] - np.logaddexp.reduce(others, axis=1))
    return float(np.sqrt(np.var(np.stack(logits), axis=0, ddof=1).mean()))


def write_graph(network: nn.Module, fitted: Calibration, size: int, path: Path) -> None:
    """Export to ONNX with a free batch size and check it against torch. Raises ParityError."""
    served = Served(network, fitted).eval()
    generator = torch.Generator().manual_seed(0)
    example = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=generator)
    program = torch.onnx.export(
        served,
        (example,),
        input_names=["image"],
        output_names=list(Served.OUTPUTS),
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
        verbose=False,
    )
    assert program is not None  # noqa: S101  (None only without dynamo)
    program.save(path, external_data=False)
    onnx.checker.check_model(path)
    batch = torch.randint(0, 256, (3, size, size, 3), dtype=torch.uint8, generator=generator)
    with torch.inference_mode():
        expected = served(batch)
    found = evaluate.run(path, batch.numpy())
    for name, tensor in zip(Served.OUTPUTS, expected, strict=True):
        difference = float(np.abs(found[name] - tensor.numpy()).max() / max(1.0, float(tensor.abs().max())))
        if difference > PARITY:
            raise ParityError(f"output {name} differs from torch by {difference:.1e}; at most {PARITY:.0e} is allowed")


def write(
    folder: Path,
    network: nn.Module,
    config: TrainConfig,
    folds: train.Folds,
    version: str,
    finish: Callable[[Path], None] = lambda _: None,
) -> Path:
    """Calibrate, export and describe a network in `folder`, replacing what was there only when all is done.

    `finish` may add to the folder (figures, a card) before it takes its place.
    """
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    calibrated = calibrate(network, folds.calibration, config)
    model = unfinished / MODEL_FILE
    write_graph(network, calibrated.calibration, config.input_size, model)
    manifest = _manifest(model, calibrated, config, folds, version)
    (unfinished / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    finish(unfinished)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return folder


def _manifest(model: Path, fold: Calibrated, config: TrainConfig, folds: train.Folds, version: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": config.backbone,
        "version": version,
        "input": {"size": config.input_size, "geometry": config.geometry, "resample": config.resample},
        "classes": CLASSES,
        "calibration": {
            "data": f"{config.calibration_source} train, fold 0 of {config.calibration_folds} by group",
            "n": fold.n,
            "prevalence": fold.prevalence,
            "malignant_prevalence": fold.malignant_prevalence,
            "logit_sd": fold.logit_sd,
            **asdict(fold.calibration),
        },
        "ood_threshold": None,
        "files": {
            model.name: {
                "sha256": sha256(model),
                "thresholds": {"sensitivity_95": fold.threshold_95},
                "metrics": {},
            }
        },
        "training": config.model_dump(mode="json"),
        "training_note": "Trained in one run with the configuration in manifest.json.",
        "training_data_sha256": table.digest(folds.train),
        "licence": "CC-BY-NC-4.0 (from the training data)",
    }


def add_metrics(folder: Path, figures: dict[str, dict[str, Any]]) -> None:
    """Write measured figures into the manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][MODEL_FILE]["metrics"].update(figures)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(manifest, indent=2) + "\n")
    unfinished.rename(path)
