"""Figures with intervals: bootstrapped by group, because pictures of one lesion are not independent."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Array = NDArray[np.float64]
Metric = Callable[[Array, Array], float]
REPEATS = 1000


def expected_calibration_error(truth: Array, p: Array, bins: int = 10) -> float:
    """ECE over equal-count bins (Nixon et al. 2019): mean gap between predicted and observed, by bin."""
    order = np.argsort(p, kind="stable")
    gaps = [(len(part), abs(p[part].mean() - truth[part].mean())) for part in np.array_split(order, bins) if len(part)]
    return float(sum(n * gap for n, gap in gaps) / len(p))


def specificity_at_sensitivity(truth: Array, p: Array, sensitivity: float = 0.95) -> float:
    """Specificity at the highest threshold that still finds this share of the positives."""
    cut = threshold_at_sensitivity(truth, p, sensitivity)
    return float((p[truth == 0] < cut).mean())


def threshold_at_sensitivity(truth: Array, p: Array, sensitivity: float = 0.95) -> float:
    """The highest threshold t such that `p >= t` finds at least this share of the positives."""
    positives = np.sort(p[truth == 1])
    return float(positives[int(np.floor((1 - sensitivity) * len(positives)))])


METRICS: dict[str, Metric] = {
    "auc": lambda truth, p: float(roc_auc_score(truth, p)),
    "average_precision": lambda truth, p: float(average_precision_score(truth, p)),
    "specificity_at_95_sensitivity": specificity_at_sensitivity,
    "brier": lambda truth, p: float(brier_score_loss(truth, p)),
    "ece": expected_calibration_error,
}


def bootstrap(
    metric: Metric, truth: Array, p: Array, groups: Sequence[str], seed: int = 0, repeats: int = REPEATS
) -> tuple[float, tuple[float, float]]:
    """(value, 95 % percentile interval), groups drawn with replacement; draws of one class alone are skipped."""
    draws = _draws(groups, seed, repeats)
    values = [metric(truth[drawn], p[drawn]) for drawn in draws if 0 < truth[drawn].sum() < len(drawn)]
    low, high = np.percentile(values, [2.5, 97.5])
    return metric(truth, p), (float(low), float(high))


def share(hit: NDArray[np.bool_], groups: Sequence[str], seed: int = 0) -> tuple[float, tuple[float, float]]:
    """(share of True, 95 % percentile interval), groups drawn with replacement."""
    values = [hit[drawn].mean() for drawn in _draws(groups, seed, REPEATS)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(hit.mean()), (float(low), float(high))


def _draws(groups: Sequence[str], seed: int, repeats: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers of resampled groups."""
    rng = np.random.default_rng(seed)
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    for _ in range(repeats):
        yield np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])


def probe(embedding: NDArray[np.float32], target: NDArray[np.bool_], groups: Sequence[str]) -> Array:
    """Cross-validated probabilities of a linear probe, groups never on both sides. embedding: [N, D]."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    p: Array = cross_val_predict(
        model, embedding, target, groups=groups, cv=StratifiedGroupKFold(5), method="predict_proba"
    )[:, 1]
    return p
