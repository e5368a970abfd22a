"""Class-conditional (Mondrian) conformal sets: which diagnoses cannot be left out (Vovk 2012).

A class stands in a picture's set when its probability is at least the class's threshold. Of pictures of each class, as
many as those it was fitted on, at least 1 - alpha then have their own diagnosis in their set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Coverage:
    """Measured on pictures that the thresholds were not fitted on. `of_class`: None for a class without pictures."""

    overall: float
    of_class: tuple[float | None, ...]
    set_size: float


def fit(p: Array, labels: NDArray[np.int64], alpha: float = 0.1) -> tuple[float, ...]:
    """Threshold of each class from held-out probabilities [N, C]; 0 (always in) where a class has too few pictures."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    return tuple(_threshold(p[labels == c, c], alpha) for c in range(p.shape[1]))


def _threshold(own: Array, alpha: float) -> float:
    """The k-th smallest probability, k = floor(alpha (n + 1)): so many may fall below it."""
    k = int(np.floor(alpha * (len(own) + 1)))
    return float(np.sort(own)[k - 1]) if k > 0 else 0.0


def sets(p: Array, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """[N, C]: whether each class is in each picture's set."""
    inside: NDArray[np.bool_] = p >= np.asarray(thresholds)
    return inside


def measure(p: Array, labels: NDArray[np.int64], groups: Sequence[str], alpha: float = 0.1, seed: int = 0) -> Coverage:
    """Coverage by fitting on one half of the groups and looking at the other, both ways round."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    half = np.random.default_rng(seed).permutation(len(names))[index] % 2 == 0
    inside = np.empty(p.shape, bool)
    for held in (half, ~half):
        inside[held] = sets(p[held], fit(p[~held], labels[~held], alpha))
    hit = inside[np.arange(len(labels)), labels]
    of_class = tuple(float(hit[labels == c].mean()) if (labels == c).any() else None for c in range(p.shape[1]))
    return Coverage(float(hit.mean()), of_class, float(inside.sum(1).mean()))
