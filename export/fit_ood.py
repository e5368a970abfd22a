"""Fit the OOD detector of a release on training images and set its thresholds on held-out lesions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.classifier.data import image_pool, table
from models.classifier.evaluation import non_lesions
from models.classifier.network import ood
from models.classifier.network.networks import Perception
from models.classifier.serving.preprocess import prepare
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import Folds

PHOTOGRAPHS = ("pad_ufes_20",)
"""Sources of ordinary photographs; every other one is dermoscopy."""
PASS = {"dermoscopy": 0.99, "photograph": 0.975}
"""Share of held-out real lesions that must pass, by modality."""
MARGIN = 0.3
"""Within this distance of the threshold the modality is unknown, and the caller assumes a photograph."""
HALF = 0.5
MOST = 3000
"""Largest number of images per modality to fit on; more change nothing."""
NOT_LESIONS = 25
"""Synthetic images of each kind on which rejection is measured."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Rows to fit the detector on, and held-out rows to set its thresholds on; no group in both."""

    fit: list[table.Row]
    held_out: list[table.Row]


@dataclass(frozen=True)
class FittedDetector:
    """The module for the graph, and its manifest fields."""

    module: ood.OodDetector
    manifest: dict[str, Any]


def rows(folds: Folds, data_dir: Path, seed: int = 42) -> Rows:
    """The training rows and the calibration fold, with photographs held out of training where there are any.

    Photographs in the training rows are used to fit; without any, a quarter of the photograph groups is held out.
    """
    training_groups = {row.group for row in folds.train}
    fit, held = list(folds.train), list(folds.calibration)
    for source in PHOTOGRAPHS:
        if not (data_dir / source).is_dir():
            continue
        unseen = [
            row for row in table.read(data_dir, source) if row.group not in training_groups and row.split == "train"
        ]
        learned = any(row.source == source for row in folds.train)
        more, held_out = ([], unseen) if learned else table.split_off(unseen, 4, seed)
        fit, held = fit + more, held + [row for row in held_out if row not in held]
    return Rows(fit, held)


def make(network: nn.Module, views: int, config: TrainConfig, data: Rows) -> FittedDetector | None:
    """Fit and measure the OOD detector; None when a modality has too few images."""
    perception = Perception(network, views).eval()
    chosen, held = _spread(data.fit), data.held_out
    photograph = np.array([row.source in PHOTOGRAPHS for row in held], dtype=bool)
    if photograph.all() or not photograph.any():
        return None
    labels, kinds = np.array([row.label for row in chosen]), np.array([row.source in PHOTOGRAPHS for row in chosen])
    try:
        fitted = ood.fit(_signatures(perception, _load(chosen, config)), labels, kinds)
    except ood.OodError:
        return None
    unseen = _signatures(perception, _load(held, config))
    module, threshold = _edge(fitted, unseen, photograph)
    others = {kind: _signatures(perception, cache) for kind, cache in _not_lesions(config).items()}
    passed = _passed(fitted, unseen, photograph, [row.group for row in held])
    passed |= {f"no lesion: {kind}": float((_run(module, of)[0] <= threshold).mean()) for kind, of in others.items()}
    return FittedDetector(module, _describe(module, threshold, passed, unseen, photograph))


def _edge(fitted: ood.Parameters, unseen: Array, photograph: NDArray[np.bool_]) -> tuple[ood.OodDetector, float]:
    """The detector, and the threshold at which the shares PASS of these held-out images pass."""
    module = ood.OodDetector(ood.scale(fitted, unseen, photograph, (PASS["dermoscopy"], PASS["photograph"]))).eval()
    scores, _ = _run(module, unseen)
    sides = {"dermoscopy": ~photograph, "photograph": photograph}
    return module, max(float(np.quantile(scores[side], PASS[name], method="higher")) for name, side in sides.items())


def _passed(
    fitted: ood.Parameters, unseen: Array, photograph: NDArray[np.bool_], groups: Sequence[str]
) -> dict[str, float]:
    """Pass rates on each half of the groups, with the threshold set on the other half."""
    half = np.array([table.fold(group, 2, 0) == 0 for group in groups])
    inside = np.zeros(len(half), dtype=bool)
    for side in (half, ~half):
        set_on = photograph[~side]
        if set_on.all() or not set_on.any():
            raise ValueError(
                "too few held-out groups to measure the OOD detector: hold out more dermoscopy and photographs"
            )
        module, threshold = _edge(fitted, unseen[~side], set_on)
        inside[side] = _run(module, unseen[side])[0] <= threshold
    return {
        "held-out dermoscopy": float(inside[~photograph].mean()),
        "held-out photograph": float(inside[photograph].mean()),
    }


def _spread(rows: Sequence[table.Row]) -> list[table.Row]:
    """At most MOST rows of each modality, of known diagnosis, chosen by hash."""
    labelled = [row for row in rows if len(row.classes) == 1]
    sides: list[table.Row] = []
    for is_photograph in (False, True):
        side = [row for row in labelled if (row.source in PHOTOGRAPHS) == is_photograph]
        folds = -(-len(side) // MOST)
        sides += [row for row in side if table.fold(str(row.path.name), folds, 0) == 0] if folds > 1 else side
    return sides


def _load(rows: Sequence[table.Row], config: TrainConfig) -> NDArray[np.uint8]:
    return image_pool.load(rows, config.input_size, config.geometry, config.resample)


@torch.inference_mode()
def _signatures(perception: Perception, cache: NDArray[np.uint8], batch: int = 32) -> NDArray[np.float32]:
    parts = [perception(torch.from_numpy(cache[i : i + batch]))[3].numpy() for i in range(0, len(cache), batch)]
    return np.concatenate(parts)


@torch.inference_mode()
def _run(module: ood.OodDetector, signatures: NDArray[np.float32]) -> tuple[Array, Array]:
    """`ood` and `photograph`, as the graph gives them."""
    ood, photograph = module(torch.from_numpy(signatures))
    return ood.numpy(), photograph.numpy()


def _describe(
    module: ood.OodDetector, threshold: float, passed: dict[str, float], unseen: Array, photograph: NDArray[np.bool_]
) -> dict[str, Any]:
    """The manifest fields."""
    _, probability = _run(module, unseen)
    right = [(probability[photograph] >= HALF).mean(), (probability[~photograph] < HALF).mean()]
    return {
        "ood_threshold": threshold,
        "ood": {"method": module.method, "pass_rates": passed},
        "modality": {
            "threshold": HALF,
            "margin": MARGIN,
            "balanced_accuracy": float(np.mean(right)),
            "data": f"{int((~photograph).sum())} dermoscopic images and {int(photograph.sum())} photographs held out",
            "n": len(unseen),
        },
    }


def _not_lesions(config: TrainConfig) -> dict[str, NDArray[np.uint8]]:
    return {
        kind: np.stack([prepare(one, config.input_size, config.geometry, config.resample) for one in drawn])
        for kind, drawn in non_lesions.pictures(NOT_LESIONS).items()
    }
