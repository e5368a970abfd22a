"""A logistic stack of two models that see the same picture (Wolpert 1992): fitting, and figures by nested folds.

log-odds of melanoma = logit(prevalence) + intercept + a * classifier + b * vlm, where each model gives its
calibrated log-odds less the logit of the prevalence. The weights are not negative: what a model says against
melanoma must never be read as speaking for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.model_selection import StratifiedGroupKFold

from models.classifier.calibration import class_scores as classes
from models.classifier.data.labels import MELANOMA
from models.classifier.evaluation import statistics
from models.vlm.calibration import platt

Array = NDArray[np.float64]
FOLDS = 5
DRAWS = 1000


@dataclass(frozen=True)
class Weights:
    """The stack's three numbers."""

    intercept: float
    classifier: float
    vlm: float

    def shift(self, classifier: Array, vlm: Array) -> Array:
        """Log-odds [N] that the picture adds to those of the prevalence; both inputs less the prevalence's."""
        return self.intercept + self.classifier * classifier + self.vlm * vlm


def fit(classifier: Array, vlm: Array, truth: Array, prevalence: float, weights: Array | None = None) -> Weights:
    """Maximum likelihood over rows [N] weighed by `weights`. Raises ValueError when a class is missing."""
    if not 0 < truth.sum() < len(truth):
        raise ValueError("a stack needs pictures with melanoma and without")
    features = np.stack([np.ones_like(truth), classifier, vlm], axis=1)
    counted = np.ones_like(truth) if weights is None else weights
    start = float(np.log(prevalence) - np.log1p(-prevalence))

    def loss(found: Array) -> tuple[float, Array]:
        z = start + features @ found
        residual = counted * (1 / (1 + np.exp(-z)) - truth)
        return float(counted @ (np.logaddexp(0, z) - truth * z) / counted.sum()), features.T @ residual / counted.sum()

    bounds = [(None, None), (0, None), (0, None)]
    found = minimize(loss, np.array([0.0, 0.5, 0.5]), jac=True, method="L-BFGS-B", bounds=bounds)
    if not found.success:
        raise RuntimeError(f"the stack did not converge: {found.message}")
    return Weights(*(float(value) for value in found.x))


def bootstrap(
    classifier: Array, vlm: Array, truth: Array, prevalence: float, groups: Sequence[str], draws: int = DRAWS
) -> list[Weights]:
    """The weights of resampled groups; draws without both classes are skipped."""
    return [
        fit(classifier, vlm, truth, prevalence, weights)
        for block in statistics.draws(groups, repeats=draws)
        for weights in block
        if 0 < (weights * truth).sum() < weights.sum()
    ]


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities [N] of pictures that neither calibration nor stack has seen."""

    classifier: Array
    vlm: Array
    stack: Array


def nested(
    scores: Array, raw: Array, labels: NDArray[np.int64], groups: Sequence[str], null_logit: float, seed: int = 0
) -> OutOfFold:
    """Both calibrations and the stack fitted anew without each fold: the released ones have seen all of it.

    scores: the classifier's uncalibrated scores [N, 7]; raw: the vlm's log-odds of Yes [N]; groups on one side only.
    """
    truth = (labels == MELANOMA).astype(np.float64)
    alone, second, stacked = (np.zeros(len(truth)) for _ in range(3))
    for kept, left in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(scores, truth, groups):
        prevalence = float(truth[kept].mean())
        base = float(np.log(prevalence) - np.log1p(-prevalence))
        first = classes.fit(scores[kept], labels[kept])
        line = platt.fit(raw[kept], truth[kept], null_logit)
        a = classes.melanoma_logit(first.apply(scores)) - base
        b = np.array([line.logit(value) for value in raw]) - base
        fitted = fit(a[kept], b[kept], truth[kept], prevalence)
        for target, z in ((alone, a), (second, b), (stacked, fitted.shift(a, b))):
            target[left] = 1 / (1 + np.exp(-(base + z[left])))
    return OutOfFold(alone, second, stacked)
