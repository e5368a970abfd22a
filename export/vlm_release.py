"""Calibration and figures of a merged vision-language model, measured on the files that will be served."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.classifier.data import table
from models.classifier.data.labels import MALIGNANT, MELANOMA
from models.classifier.evaluation import statistics
from models.common.artifact import MANIFEST, sha256
from models.vlm.calibration import platt as calibration
from models.vlm.serving.artifact import VlmArtifact
from models.vlm.serving.preprocess import View, null_image, prepare
from models.vlm.serving.scoring import PlattCalibration, score

Predictor = Callable[[Sequence[Image.Image]], list[list[tuple[str, float]]]]
"""Prepared images to (token, raw logprob) lists: an engine, a graph or transformers."""
MERGED, CARD = "merged/", "MODEL_CARD.md"
TURNS = 4
SETS = (("ham10000", "test", (MELANOMA,)), ("isic2017", "test", (MELANOMA,)), ("pad_ufes_20", "train", MALIGNANT))
"""(source, split, classes that count) a release is measured on; the last is photographs, where Yes counts for any
skin cancer."""


@dataclass(frozen=True)
class FittedCalibration:
    """A calibration and its figures on the calibration fold."""

    calibration: PlattCalibration
    fold: dict[str, Any]
    thresholds: dict[str, dict[str, float]]


def read(rows: Sequence[table.Row], view: View) -> list[Image.Image]:
    """Images of these rows, prepared for the engine."""
    images = []
    for row in rows:
        with Image.open(row.path) as image:
            images.append(prepare(ImageOps.exif_transpose(image).convert("RGB"), view))
    return images


def logits(predict: Predictor, images: Sequence[Image.Image]) -> NDArray[np.float64]:
    """Raw log-odds of Yes [N]. Raises ValueError when an answer is mostly neither Yes nor No."""
    log_odds = [score(top).logit for top in predict(images)]
    unanswered = sum(value is None for value in log_odds)
    if unanswered:
        raise ValueError(f"{unanswered} of {len(log_odds)} images were answered with neither Yes nor No")
    return np.array(log_odds, dtype=np.float64)


def fit(predict: Predictor, rows: Sequence[table.Row], view: View, data: str) -> FittedCalibration:
    """Calibrate on held-out rows, and measure the effect of turning on the logit."""
    images = read(rows, view)
    truth = np.array([row.label == MELANOMA for row in rows], dtype=np.float64)
    null = float(logits(predict, [null_image(view)])[0])
    raw = logits(predict, images)
    fitted = calibration.fit(raw, truth, null)
    p = np.array([fitted.melanoma(value) for value in raw])
    cut = statistics.threshold_at_sensitivity(truth, p)
    turned = [raw]
    for image_set in (images, [ImageOps.mirror(image) for image in images]):
        for turns in range(TURNS):
            if image_set is images and turns == 0:
                continue
            turned.append(logits(predict, [image.rotate(90 * turns, expand=True) for image in image_set]))
    spread = float(np.sqrt(np.var(np.stack(turned), axis=0, ddof=1).mean()))
    return FittedCalibration(
        calibration=fitted,
        fold={"data": data, "n": len(rows), "prevalence": float(truth.mean()), "logit_sd": fitted.slope * spread},
        thresholds={
            "sensitivity_95": {
                "value": cut,
                "sensitivity": float((p[truth == 1] >= cut).mean()),
                "specificity": float((p[truth == 0] < cut).mean()),
            }
        },
    )


def measure(predict: Predictor, fitted: PlattCalibration, view: View, data_dir: Path) -> dict[str, dict[str, Any]]:
    """Figures with intervals on images not used for training or selection."""
    figures: dict[str, dict[str, Any]] = {}
    for source, split, positives in SETS:
        rows = [row for row in table.read(data_dir, source) if row.split == split]
        p = np.array([fitted.melanoma(value) for value in logits(predict, read(rows, view))])
        truth = np.array([row.label in positives for row in rows], dtype=np.float64)
        endpoint = "melanoma" if positives == (MELANOMA,) else "malignant"
        for name, metric in statistics.METRICS.items():
            value, interval = statistics.bootstrap(metric, truth, p, [row.group for row in rows])
            figures[f"{source}_{split}_{endpoint}_{name}"] = {
                "value": value,
                "interval": interval,
                "data": f"{source} {split}",
                "n": len(rows),
            }
    return figures


def write_manifest(
    folder: Path, fields: dict[str, Any], fitted: FittedCalibration, metrics: dict[str, dict[str, Any]]
) -> VlmArtifact:
    """manifest.json with the hash of every file in the folder; returns it loaded. Raises ArtifactError."""
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in written}
    for name in (MANIFEST, CARD):
        digests.pop(name, None)
    manifest = {
        "schema_version": 1,
        **fields,
        "calibration": fitted.calibration.model_dump(),
        "fold": fitted.fold,
        "thresholds": fitted.thresholds,
        "metrics": metrics,
        "files": {name: digest for name, digest in digests.items() if not name.startswith(MERGED)},
        "engine_files": {name: digest for name, digest in digests.items() if name.startswith(MERGED)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return VlmArtifact.load(folder)
