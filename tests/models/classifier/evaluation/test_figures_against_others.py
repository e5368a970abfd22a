"""Our weighted figures are those of sklearn, or of the formula written out, on the resampled rows themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from models.classifier.evaluation import curves, statistics
from models.classifier.evaluation.statistics import Array

Drawn = tuple[Array, Array, Array]


@st.composite
def resamples(draw: st.DrawFn) -> Drawn:
    """Outcomes, probabilities with many ties, and how often each row was drawn."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(4, 60))
    truth, p = (rng.random(n) < 0.4).astype(float), rng.random(n).round(draw(st.sampled_from([1, 2, 8])))
    truth[:2] = 0, 1
    weights = rng.integers(0, 4, n).astype(float)
    weights[:2] = 1
    return truth, p, weights


def expanded(drawn: Drawn) -> tuple[Array, Array]:
    truth, p, weights = drawn
    times = weights.astype(int)
    return np.repeat(truth, times), np.repeat(p, times)


def isic_partial_auc(truth: Array, p: Array) -> float:
    """The ISIC 2024 challenge's own scoring code: flip both, scaled partial AUC up to 20 %, scaled back."""
    top = 1 - statistics.PARTIAL_FROM
    scaled = theirs.roc_auc_score(1 - truth, -p, max_fpr=top)
    return float(0.5 * top**2 + (top - 0.5 * top**2) / (1.0 - 0.5) * (scaled - 0.5))


def split_ece(truth: Array, p: Array) -> float:
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, 10) if len(part)]
    return float(sum(len(part) * abs(p[part].mean() - truth[part].mean()) for part in parts) / len(p))


@settings(max_examples=60)
@given(resamples())
def test_ranking_figures(drawn: Drawn) -> None:
    samples, (truth, p) = statistics.Samples(drawn[0], drawn[1], drawn[2][None]), expanded(drawn)
    expected = {
        "auc": theirs.roc_auc_score(truth, p),
        "average_precision": theirs.average_precision_score(truth, p),
        "brier": theirs.brier_score_loss(truth, p),
        "specificity_at_95_sensitivity": statistics.specificity_at_sensitivity(truth, p),
    }
    for name, value in expected.items():
        assert statistics.METRICS[name].of(samples)[0] == pytest.approx(value, abs=1e-9), name
    assert statistics.PARTIAL_AUC.of(samples)[0] == pytest.approx(isic_partial_auc(truth, p), abs=1e-9)


@settings(max_examples=40)
@given(resamples())
def test_calibration_error(drawn: Drawn) -> None:
    truth, p, weights = drawn
    p = p + np.arange(len(p)) * 1e-9  # without ties, where the order within a bin is anybody's choice
    found = statistics.METRICS["ece"].of(statistics.Samples(truth, p, weights[None]))[0]
    assert found == pytest.approx(split_ece(*expanded((truth, p, weights))), abs=1e-9)


@settings(max_examples=40)
@given(resamples(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_figures_of_a_decision(drawn: Drawn, cut: float) -> None:
    samples, (truth, p) = statistics.Samples(drawn[0], drawn[1], drawn[2][None]), expanded(drawn)
    called = p >= cut
    found = {
        name: float(metric.of(samples)[0]) for name, metric in statistics.at_threshold(cut).items() if called.any()
    }
    if called.any():
        expected = {
            "sensitivity": theirs.recall_score(truth, called),
            "specificity": theirs.recall_score(1 - truth, ~called),
            "precision": theirs.precision_score(truth, called),
            "f1": theirs.f1_score(truth, called),
            "accuracy": theirs.accuracy_score(truth, called),
            "balanced_accuracy": theirs.balanced_accuracy_score(truth, called),
        }
        assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40)
@given(resamples(), st.floats(0.01, 0.95))
def test_net_benefit(drawn: Drawn, threshold: float) -> None:
    truth, p = expanded(drawn)
    hits, alarms = ((p >= threshold) & (truth == 1)).sum(), ((p >= threshold) & (truth == 0)).sum()
    expected = hits / len(p) - alarms / len(p) * threshold / (1 - threshold)
    assert curves.net_benefit(truth, p, np.array([threshold]))[0] == pytest.approx(expected)


def example(n: int = 300) -> tuple[Array, Array, list[str]]:
    rng = np.random.default_rng(1)
    p = rng.beta(1, 4, n)
    return (rng.random(n) < p).astype(float), p, [f"g{i // 3}" for i in range(n)]


def test_curves_pass_through_sklearns_points() -> None:
    truth, p, groups = example()
    alarms, found, _ = theirs.roc_curve(truth, p)
    roc = curves.roc(truth, p, groups, repeats=50)
    assert roc.y == pytest.approx(np.interp(curves.GRID, alarms, found))
    assert (roc.low <= roc.y + 1e-9).mean() > 0.95
    precision, recall, _ = theirs.precision_recall_curve(truth, p)
    drawn = curves.precision_recall(truth, p, groups, repeats=50)
    for sensitivity in (0.2, 0.5, 0.95):
        highest = precision[recall >= sensitivity - 1e-9][-1]
        assert np.interp(sensitivity, drawn.x, drawn.y) == pytest.approx(highest)


def test_reliability_is_the_share_in_each_bin() -> None:
    truth, p, groups = example()
    curve = curves.reliability(truth, p, groups, repeats=50)
    order = np.argsort(p, kind="stable")
    assert curve.y == pytest.approx([truth[part].mean() for part in np.array_split(order, 10)])
    assert curve.x == pytest.approx([p[part].mean() for part in np.array_split(order, 10)])


def test_a_paired_difference_is_narrower_than_the_two_intervals() -> None:
    truth, p, groups = example(600)
    auc, better = statistics.METRICS["auc"], p + 0.02 * truth
    difference, (low, high) = statistics.paired(auc, truth, better, p, groups, repeats=300)
    assert difference == pytest.approx(theirs.roc_auc_score(truth, better) - theirs.roc_auc_score(truth, p))
    assert 0 < low <= difference <= high
    alone = statistics.bootstrap(auc, truth, p, groups, repeats=300)[1]
    assert high - low < (alone[1] - alone[0]) / 2
    assert statistics.paired(auc, truth, p, p, groups, repeats=50) == (0, (0, 0))


def test_an_undefined_figure_is_not_a_number() -> None:
    truth, p, groups = example()
    value, interval = statistics.bootstrap(statistics.at_threshold(2)["precision"], truth, p, groups, repeats=20)
    assert np.isnan([value, *interval]).all()
