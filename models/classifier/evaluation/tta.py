"""Test-time augmentation outside the graph: the eight turns and mirrors of a picture, their scores averaged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from models.classifier.data.labels import MALIGNANT, MELANOMA
from models.classifier.evaluation import measurement
from models.common.views import VIEWS, turned

_SMALLEST = 1e-12


def views(cache: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The eight views of pictures [N, S, S, 3], the pictures themselves first."""
    return (turned(cache, view) for view in VIEWS)


def average(classes: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """One set of probabilities from those of V views [V, N, C].

    The mean of the logarithms, as a graph does that averages its scores before the softmax.
    """
    joint = softmax(np.log(np.maximum(classes, _SMALLEST)).mean(0), axis=1)
    return {"classes": joint, "melanoma": joint[:, MELANOMA], "malignant": joint[:, list(MALIGNANT)].sum(1)}


def run(model: Path, cache: NDArray[np.uint8], plain: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Averaged probabilities of prepared pictures; `plain` are the class probabilities [N, C] of the first view."""
    others = [
        measurement.run(model, view, f"view {number} of {len(VIEWS)}")["classes"]
        for number, view in enumerate(views(cache), 1)
        if number > 1
    ]
    return average(np.stack([plain, *others]))
