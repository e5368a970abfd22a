"""Calibration of seven-class scores: a temperature and a bias per class (Alexandari et al. 2020, BCTS), then Platt."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_expit, log_softmax, logsumexp

from models.classifier.data.labels import MELANOMA

Array = NDArray[np.float64]
Method = Literal["temperature", "bcts", "platt"]
"""`platt`: BCTS, then slope and offset of the melanoma logit alone (Platt 1999)."""


@dataclass(frozen=True)
class ScoreCalibration:
    """Scores are raw / temperature + bias; then the melanoma logit becomes slope * logit + offset."""

    temperature: float
    bias: tuple[float, ...]
    slope: float = 1.0
    offset: float = 0.0

    def apply(self, raw: Array) -> Array:
        """Raw scores [N, C] to calibrated scores [N, C]; their softmax is the class probabilities."""
        scores: Array = raw / self.temperature + np.asarray(self.bias)
        others = logsumexp(np.delete(scores, MELANOMA, axis=1), axis=1)
        scores[:, MELANOMA] = self.slope * (scores[:, MELANOMA] - others) + self.offset + others
        return scores


def melanoma_logit(scores: Array) -> Array:
    """Log-odds of melanoma [N] from scores [N, C]."""
    logit: Array = scores[:, MELANOMA] - logsumexp(np.delete(scores, MELANOMA, axis=1), axis=1)
    return logit


def fit(raw: Array, labels: NDArray[np.int64], prior_weight: float = 1e-3, method: Method = "bcts") -> ScoreCalibration:
    """Fit by log loss on held-out raw scores [N, C]; a little ridge on the biases steadies rare classes."""
    if method not in get_args(Method):
        raise ValueError(f"there is no calibration method {method!r}: choose one of {', '.join(get_args(Method))}")
    rows = np.arange(len(labels))

    def loss(parameters: Array) -> float:
        scores = raw * np.exp(parameters[0]) + parameters[1:]
        log_loss = -log_softmax(scores, axis=1)[rows, labels].mean()
        return float(log_loss + prior_weight * np.square(parameters[1:]).mean())

    fixed = [(0.0, 0.0)] * raw.shape[1] if method == "temperature" else [(None, None)] * raw.shape[1]
    found = minimize(loss, np.zeros(raw.shape[1] + 1), method="L-BFGS-B", bounds=[(None, None), *fixed])
    if not found.success:
        raise RuntimeError(f"calibration did not converge: {found.message}")
    fitted = ScoreCalibration(float(np.exp(-found.x[0])), tuple(float(b) for b in found.x[1:]))
    return _platt(fitted, raw, labels == MELANOMA) if method == "platt" else fitted


def _platt(fitted: ScoreCalibration, raw: Array, truth: NDArray[np.bool_]) -> ScoreCalibration:
    logit, sign = melanoma_logit(fitted.apply(raw)), np.where(truth, 1.0, -1.0)

    def loss(parameters: Array) -> float:
        return float(-log_expit(sign * (parameters[0] * logit + parameters[1])).mean())

    # A slope above nothing: calibration must not turn the order of pictures round.
    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.05, 20), (None, None)])
    if not found.success:
        raise RuntimeError(f"calibration did not converge: {found.message}")
    return replace(fitted, slope=float(found.x[0]), offset=float(found.x[1]))
