"""Fit the calibration that `scoring.Calibration` applies in serving."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.vlm.serving.scoring import PlattCalibration


def fit(raw: NDArray[np.float64], truth: NDArray[np.float64], null_logit: float) -> PlattCalibration:
    """Platt scaling by maximum likelihood on held-out raw log-odds [N] and labels [N] of 0 and 1.

    Targets are Platt's own (1999): slightly inside 0 and 1, so that a separable fold
    gives a finite slope. Raises ValueError when a class is missing, or when the slope is not positive.
    """
    positives = float(truth.sum())
    if not 0 < positives < len(truth):
        raise ValueError("calibration needs images with melanoma and without")
    negatives = len(truth) - positives
    targets = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    shifted = raw - null_logit

    def loss(parameters: NDArray[np.float64]) -> float:
        z = parameters[0] * shifted + parameters[1]
        return float((np.logaddexp(0, z) - targets * z).mean())

    start = np.array([1.0, np.log(positives / negatives)])
    slope, intercept = minimize(loss, start, method="L-BFGS-B").x
    if slope <= 0:
        raise ValueError(
            "the fitted slope is not positive: Yes is no evidence for melanoma, so this model cannot be released"
        )
    return PlattCalibration(slope=float(slope), intercept=float(intercept), null_logit=null_logit)
