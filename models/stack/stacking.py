"""A logistic stack of two models that see the same image (Wolpert 1992): fitting, and figures by nested folds.

log-odds of melanoma = logit(prevalence) + intercept + a * classifier + b * vlm, where each model gives its
calibrated log-odds less the logit of the prevalence. The weights are not negative, so that evidence against
melanoma never raises the risk.
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
    """Intercept and weights of the stack."""

    intercept: float
    classifier: float
    vlm: float

    def shift(self, classifier: Array, vlm: Array) -> Array:
        """Log-odds [N] that the image adds to those of the prevalence; both inputs less the prevalence's."""
        return self.intercept + self.classifier * classifier + self.vlm * vlm


def fit(classifier: Array, vlm: Array, truth: Array, prevalence: float, weights: Array | None = None) -> Weights:
    """Maximum likelihood over rows [N] weighted by `weights`. Raises ValueError when a class is missing."""
    if not 0 < truth.sum() < len(truth):
        raise ValueError("a stack needs images with melanoma and without")
    features = np.stack([np.ones_like(truth), classifier, vlm], axis=1)
    counted = np.ones_like(truth) if weights is None else weights
    start = float(np.log(prevalence) - np.log1p(-prevalence))

    def loss(parameters: Array) -> tuple[float, Array]:
        z = start + features @ parameters
        residual = counted * (1 / (1 + np.exp(-z)) - truth)
        return float(counted @ (np.logaddexp(0, z) - truth * z) / counted.sum()), features.T @ residual / counted.sum()

    bounds = [(None, None), (0, None), (0, None)]
    result = minimize(loss, np.array([0.0, 0.5, 0.5]), jac=True, method="L-BFGS-B", bounds=bounds)
    if not result.success:
        raise RuntimeError(f"the stack did not converge: {result.message}")
    return Weights(*(float(value) for value in result.x))


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
class NestedPredictions:
    """Probabilities [N] of images held out from both the calibrations and the stack."""

    classifier: Array
    vlm: Array
    stack: Array


def nested(
    scores: Array, raw: Array, labels: NDArray[np.int64], groups: Sequence[str], null_logit: float, seed: int = 0
) -> NestedPredictions:
    """Both calibrations and the stack fitted without each fold; the released ones were fitted on all folds.

    scores: the classifier's uncalibrated scores [N, 7]; raw: the vlm's log-odds of Yes [N]; groups stay in one fold.
    """
    truth = (labels == MELANOMA).astype(np.float64)
    alone, second, stacked = (np.zeros(len(truth)) for _ in range(3))
    for fitting, left_out in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(scores, truth, groups):
        prevalence = float(truth[fitting].mean())
        base = float(np.log(prevalence) - np.log1p(-prevalence))
        first = classes.fit(scores[fitting], labels[fitting])
        scaling = platt.fit(raw[fitting], truth[fitting], null_logit)
        a = classes.melanoma_logit(first.apply(scores)) - base
        b = np.array([scaling.logit(value) for value in raw]) - base
        fitted = fit(a[fitting], b[fitting], truth[fitting], prevalence)
        for target, z in ((alone, a), (second, b), (stacked, fitted.shift(a, b))):
            target[left_out] = 1 / (1 + np.exp(-(base + z[left_out])))
    return NestedPredictions(alone, second, stacked)
