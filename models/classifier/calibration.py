"""Calibration of seven-class scores: one temperature and a bias per class (Alexandari et al. 2020, BCTS)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax


@dataclass(frozen=True)
class Calibration:
    """Calibrated scores are raw / temperature + bias."""

    temperature: float
    bias: tuple[float, ...]

    def apply(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw scores [N, C] to calibrated scores [N, C]; their softmax is the class probabilities."""
        scores: NDArray[np.float64] = raw / self.temperature + np.asarray(self.bias)
        return scores


def fit(raw: NDArray[np.float64], labels: NDArray[np.int64], prior_weight: float = 1e-3) -> Calibration:
    """Fit by log loss on held-out raw scores [N, C]; a little ridge on the biases steadies rare classes."""
    rows = np.arange(len(labels))

    def loss(parameters: NDArray[np.float64]) -> float:
        scores = raw * np.exp(parameters[0]) + parameters[1:]
        log_loss = -log_softmax(scores, axis=1)[rows, labels].mean()
        return float(log_loss + prior_weight * np.square(parameters[1:]).mean())

    found = minimize(loss, np.zeros(raw.shape[1] + 1), method="L-BFGS-B")
    if not found.success:
        raise RuntimeError(f"calibration did not converge: {found.message}")
    return Calibration(float(np.exp(-found.x[0])), tuple(float(b) for b in found.x[1:]))
