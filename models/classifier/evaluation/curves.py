"""Curves with 95 % bands, bootstrapped by group like the figures in `metrics`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.classifier.evaluation.statistics import REPEATS, Array, Samples, draws

GRID = np.linspace(0, 1, 101)
THRESHOLDS = np.arange(1, 61) / 100
"""Threshold probabilities of a decision curve: how sure one must be before one acts."""


@dataclass(frozen=True)
class Curve:
    """y over x, and the middle 95 % of resampled curves; all [T], NaN where y is not defined."""

    x: Array
    y: Array
    low: Array
    high: Array


def _banded(
    x: Array, of: Callable[[Samples], Array], truth: Array, p: Array, groups: Sequence[str], repeats: int
) -> Curve:
    parts = []
    with np.errstate(invalid="ignore", divide="ignore"):
        y = of(Samples(truth, p))[0]
        for weights in draws(groups, repeats=repeats):
            samples = Samples(truth, p, weights)
            parts.append(of(samples)[samples.two_classes])
    drawn = np.concatenate(parts)
    low, high = np.full((2, len(x)), np.nan)
    some = np.isfinite(drawn).any(0) if len(drawn) else np.zeros(len(x), bool)
    low[some], high[some] = np.nanpercentile(drawn[:, some], [2.5, 97.5], axis=0)
    return Curve(x, y, low, high)


def roc(truth: Array, p: Array, groups: Sequence[str], repeats: int = REPEATS) -> Curve:
    """Sensitivity (y) over the share of false alarms (x)."""

    def sensitivity(samples: Samples) -> Array:
        alarms, found = samples.alarms / samples.alarms[:, -1:], samples.found / samples.found[:, -1:]
        return np.array([np.interp(GRID, a, f) for a, f in zip(alarms, found, strict=True)])

    return _banded(GRID, sensitivity, truth, p, groups, repeats)


def precision_recall(truth: Array, p: Array, groups: Sequence[str], repeats: int = REPEATS) -> Curve:
    """Precision (y) at the highest threshold that reaches a sensitivity (x), from 1 % on."""
    recalls = GRID[1:]

    def precision(samples: Samples) -> Array:
        found, called = samples.found, samples.found + samples.alarms
        wanted = recalls * found[:, -1:] - 1e-9
        at = np.stack([np.searchsorted(f, w) for f, w in zip(found, wanted, strict=True)])
        at = np.minimum(at, found.shape[1] - 1)
        return np.take_along_axis(found, at, 1) / np.take_along_axis(called, at, 1)

    return _banded(recalls, precision, truth, p, groups, repeats)


def reliability(truth: Array, p: Array, groups: Sequence[str], bins: int = 10, repeats: int = REPEATS) -> Curve:
    """Observed share (y) against the mean prediction (x) in bins of equal count."""
    member = np.zeros((len(p), bins))
    for index, rows in enumerate(np.array_split(np.argsort(p, kind="stable"), bins)):
        member[rows, index] = 1
    member = member[np.argsort(p, kind="stable")][:, member.any(0)]
    mean = (np.sort(p) @ member) / member.sum(0)

    def observed(samples: Samples) -> Array:
        return ((samples.weights * samples.truth) @ member) / (samples.weights @ member)

    return _banded(mean, observed, truth, p, groups, repeats)


def net_benefit(truth: Array, p: Array, thresholds: Array) -> Array:
    """True minus weighted false alarms per picture, when acting on `p >= threshold` (Vickers and Elkin 2006): [T]."""
    y: Array = _net_benefit(Samples(truth, p), thresholds)[0]
    return y


def decision(truth: Array, p: Array, groups: Sequence[str], repeats: int = REPEATS) -> Curve:
    """Net benefit (y) over the threshold probability (x)."""
    return _banded(THRESHOLDS, lambda samples: _net_benefit(samples, THRESHOLDS), truth, p, groups, repeats)


def _net_benefit(samples: Samples, thresholds: Array) -> Array:
    called = (samples.p[:, None] >= thresholds).astype(np.float64)
    hits = samples.weights @ (called * samples.truth[:, None])
    alarms = samples.weights @ (called * (1 - samples.truth)[:, None])
    y: Array = (hits - alarms * thresholds / (1 - thresholds)) / samples.weights.sum(1, keepdims=True)
    return y


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Counts [true, predicted]."""
    counts = np.bincount(labels * n_classes + predicted, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)
