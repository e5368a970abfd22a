"""Log-odds and back, without overflow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def logit(p: Any, clip: float = 1e-6) -> Array:
    """ln(p / (1 - p)), with p brought to [clip, 1 - clip] first."""
    inside = np.clip(np.asarray(p, np.float64), clip, 1 - clip)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def sigmoid(z: Any) -> Array:
    """1 / (1 + exp(-z)); exact for large |z| of either sign."""
    z = np.asarray(z, np.float64)
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, small) / (1 + small))
