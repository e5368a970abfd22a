"""Figures with intervals: bootstrapped by group, because pictures of one lesion are not independent.

A resample is a weight per row (how often its group was drawn), so that one pass over sorted arrays serves all draws.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Array = NDArray[np.float64]
Interval = tuple[float, float]
REPEATS = 1000
PARTIAL_FROM = 0.8
"""The partial AUC counts the area above this sensitivity (ISIC 2024 challenge)."""
_CELLS = 2_000_000
_EPSILON = 1e-9
"""So that 19 of 20 is 95 %, whatever the last bit of the product says."""


class Samples:
    """Outcomes [N] and probabilities [N] in ascending order, and the weight of each row in B resamples [B, N]."""

    def __init__(self, truth: Array, p: Array, weights: Array | None = None) -> None:
        order = np.argsort(p, kind="stable")
        self.truth, self.p = np.asarray(truth, np.float64)[order], np.asarray(p, np.float64)[order]
        self.weights = np.ones((1, len(order))) if weights is None else weights[:, order]

    @cached_property
    def found(self) -> Array:
        """Positives at or above each distinct probability, highest first, after a first column of 0: [B, U + 1]."""
        return self._above(self.truth)

    @cached_property
    def alarms(self) -> Array:
        """Negatives at or above each distinct probability, as `found`."""
        return self._above(1 - self.truth)

    def _above(self, counted: Array) -> Array:
        sums = np.cumsum((self.weights * counted)[:, ::-1], axis=1)
        falling = self.p[::-1]
        last_of_ties = np.flatnonzero(np.append(falling[1:] != falling[:-1], [True] * (len(falling) > 0)))
        return np.pad(sums[:, last_of_ties], ((0, 0), (1, 0)))

    @property
    def two_classes(self) -> NDArray[np.bool_]:
        """Which resamples hold a positive and a negative: [B]."""
        return (self.found[:, -1] > 0) & (self.alarms[:, -1] > 0)


@dataclass(frozen=True)
class Metric:
    """A figure of (truth, p); `of` computes it for all resamples at once, NaN where it is not defined."""

    of: Callable[[Samples], Array]

    def __call__(self, truth: Array, p: Array) -> float:
        """The figure of one sample."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(self.of(Samples(truth, p))[0])


def _auc(samples: Samples) -> Array:
    found, alarms = samples.found, samples.alarms
    area = (np.diff(alarms) * (found[:, 1:] + found[:, :-1]) / 2).sum(1)
    value: Array = area / (found[:, -1] * alarms[:, -1])
    return value


def _partial_auc(samples: Samples) -> Array:
    """Area under the ROC curve above 80 % sensitivity: 0 to .2, by chance .02 (ISIC 2024)."""
    sensitivity = samples.found / samples.found[:, -1:]
    alarm_rate = samples.alarms / samples.alarms[:, -1:]
    width = np.diff(sensitivity)
    low = np.clip(sensitivity[:, :-1], PARTIAL_FROM, 1)
    part = np.clip(sensitivity[:, 1:], PARTIAL_FROM, 1) - low
    middle = np.divide(low + part / 2 - sensitivity[:, :-1], width, out=np.zeros_like(width), where=width > 0)
    height = 1 - (alarm_rate[:, :-1] + middle * np.diff(alarm_rate))
    value: Array = (part * height).sum(1)
    return value


def _average_precision(samples: Samples) -> Array:
    found, called = samples.found[:, 1:], samples.found[:, 1:] + samples.alarms[:, 1:]
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    value: Array = (np.diff(samples.found) * precision).sum(1) / found[:, -1]
    return value


def _specificity_at(samples: Samples, sensitivity: float = 0.95) -> Array:
    enough = samples.found >= sensitivity * samples.found[:, -1:] - _EPSILON
    alarms = np.take_along_axis(samples.alarms, enough.argmax(1)[:, None], axis=1)[:, 0]
    return 1 - alarms / samples.alarms[:, -1]


def _brier(samples: Samples) -> Array:
    value: Array = (samples.weights @ np.square(samples.p - samples.truth)) / samples.weights.sum(1)
    return value


def _ece(samples: Samples, bins: int = 10) -> Array:
    """Bins as numpy.array_split makes them; a row drawn several times may lie in two of them."""
    upto = np.pad(np.cumsum(samples.weights, axis=1), ((0, 0), (1, 0)))
    gap = np.pad(np.cumsum(samples.weights * (samples.p - samples.truth), axis=1), ((0, 0), (1, 0)))
    each, more = np.divmod(upto[:, -1:], bins)
    bounds = np.arange(bins + 1) * each + np.minimum(np.arange(bins + 1), more)
    rows = zip(bounds, upto, gap, strict=True)
    return np.array([np.abs(np.diff(np.interp(*row))).sum() for row in rows]) / upto[:, -1]


METRICS: dict[str, Metric] = {
    "auc": Metric(_auc),
    "average_precision": Metric(_average_precision),
    "specificity_at_95_sensitivity": Metric(_specificity_at),
    "brier": Metric(_brier),
    "ece": Metric(_ece),
}
"""What every release is measured by."""
PARTIAL_AUC = Metric(_partial_auc)


def at_threshold(cut: float) -> dict[str, Metric]:
    """The figures of the decision `p >= cut`."""

    def counts(samples: Samples) -> tuple[Array, Array, Array, Array]:
        called = (samples.p >= cut).astype(np.float64)
        hits, alarms = samples.weights @ (called * samples.truth), samples.weights @ (called * (1 - samples.truth))
        return hits, alarms, samples.found[:, -1], samples.alarms[:, -1]

    def metric(of: Callable[[Array, Array, Array, Array], Array]) -> Metric:
        return Metric(lambda samples: of(*counts(samples)))

    return {
        "sensitivity": metric(lambda hits, _, positives, __: hits / positives),
        "specificity": metric(lambda _, alarms, __, negatives: 1 - alarms / negatives),
        "precision": metric(lambda hits, alarms, _, __: hits / (hits + alarms)),
        "f1": metric(lambda hits, alarms, positives, _: 2 * hits / (hits + alarms + positives)),
        "accuracy": metric(lambda hits, alarms, yes, no: (hits + no - alarms) / (yes + no)),
        "balanced_accuracy": metric(lambda hits, alarms, yes, no: (hits / yes + 1 - alarms / no) / 2),
    }


def expected_calibration_error(truth: Array, p: Array, bins: int = 10) -> float:
    """ECE over equal-count bins (Nixon et al. 2019): mean gap between predicted and observed, by bin."""
    return float(_ece(Samples(truth, p), bins)[0])


def specificity_at_sensitivity(truth: Array, p: Array, sensitivity: float = 0.95) -> float:
    """Specificity at the highest threshold that still finds this share of the positives."""
    return float(_specificity_at(Samples(truth, p), sensitivity)[0])


def threshold_at_sensitivity(truth: Array, p: Array, sensitivity: float = 0.95) -> float:
    """The highest threshold t such that `p >= t` finds at least this share of the positives."""
    positives = np.sort(p[truth == 1])
    return float(positives[int(np.floor((1 - sensitivity) * len(positives) + _EPSILON))])


def bootstrap(
    metric: Metric, truth: Array, p: Array, groups: Sequence[str], seed: int = 0, repeats: int = REPEATS
) -> tuple[float, Interval]:
    """(value, 95 % percentile interval), groups drawn with replacement; draws of one class alone are skipped."""
    return bootstrap_all({"": metric}, truth, p, groups, seed, repeats)[""]


def bootstrap_all(
    wanted: Mapping[str, Metric],
    truth: Array,
    p: Array,
    groups: Sequence[str],
    seed: int = 0,
    repeats: int = REPEATS,
) -> dict[str, tuple[float, Interval]]:
    """Each metric as `bootstrap` gives it, from the same draws. NaN where a metric is not defined here."""
    drawn: dict[str, list[Array]] = {name: [] for name in wanted}
    for weights in draws(groups, seed, repeats):
        samples = Samples(truth, p, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            for name, metric in wanted.items():
                drawn[name].append(metric.of(samples)[samples.two_classes])
    return {name: (metric(truth, p), interval(np.concatenate(drawn[name]))) for name, metric in wanted.items()}


def paired(
    metric: Metric,
    truth: Array,
    p_new: Array,
    p_old: Array,
    groups: Sequence[str],
    seed: int = 0,
    repeats: int = REPEATS,
) -> tuple[float, Interval]:
    """(new minus old, 95 % percentile interval): both are measured on the same draws of groups."""
    drawn = []
    for weights in draws(groups, seed, repeats):
        new, old = Samples(truth, p_new, weights), Samples(truth, p_old, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn.append((metric.of(new) - metric.of(old))[new.two_classes])
    return metric(truth, p_new) - metric(truth, p_old), interval(np.concatenate(drawn))


def share(hit: NDArray[np.bool_], groups: Sequence[str], seed: int = 0) -> tuple[float, Interval]:
    """(share of True, 95 % percentile interval), groups drawn with replacement."""
    values = [weights @ hit / weights.sum(1) for weights in draws(groups, seed, REPEATS)]
    return float(hit.mean()), interval(np.concatenate(values))


def interval(values: Array) -> Interval:
    """The middle 95 % of resampled values; NaN twice when none is defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def draws(groups: Sequence[str], seed: int = 0, repeats: int = REPEATS) -> Iterator[Array]:
    """Weights [b, N] of resampled groups, some draws at a time so that many rows still fit in memory."""
    rng = np.random.default_rng(seed)
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(index.max()) + 1
    at_once = max(1, _CELLS // len(index))
    for start in range(0, repeats, at_once):
        chosen = rng.integers(0, n_groups, (min(at_once, repeats - start), n_groups))
        counts = np.stack([np.bincount(one, minlength=n_groups) for one in chosen]).astype(np.float64)
        yield counts[:, index]


def probe(embedding: NDArray[np.float32], target: NDArray[np.bool_], groups: Sequence[str]) -> Array:
    """Cross-validated probabilities of a linear probe, groups never on both sides. embedding: [N, D]."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    p: Array = cross_val_predict(
        model, embedding, target, groups=groups, cv=StratifiedGroupKFold(5), method="predict_proba"
    )[:, 1]
    return p
