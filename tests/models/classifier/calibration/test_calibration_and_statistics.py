"""Calibration finds what was done to the scores; figures say what they claim to say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, softmax

from models.classifier.calibration import class_scores
from models.classifier.data.labels import CLASSES, MELANOMA
from models.classifier.evaluation import statistics
from models.classifier.evaluation.statistics import Array

N = len(CLASSES)


def sample(n: int, seed: int = 0) -> tuple[Array, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """True scores, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (n, N))
    p = softmax(scores, axis=1)
    labels = np.array([rng.choice(N, p=row) for row in p])
    return scores, labels


def log_loss(scores: Array, labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    return float(-log_softmax(scores, axis=1)[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_calibration_recovers_a_known_temperature_and_bias(temperature: float) -> None:
    true, labels = sample(8000)
    bias = np.linspace(-1, 1, N)
    raw = (true - bias) * temperature
    found = class_scores.fit(raw, labels)
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    recovered = np.array(found.bias) - np.mean(found.bias)
    assert recovered == pytest.approx(bias, abs=0.15)
    assert log_loss(found.apply(raw), labels) < log_loss(raw, labels)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.floats(0.3, 4), st.floats(-3, 3))
def test_calibration_never_worsens_what_it_is_fitted_on(seed: int, temperature: float, shift: float) -> None:
    true, labels = sample(300, seed)
    raw = true * temperature
    raw[:, 4] += shift
    fitted = class_scores.fit(raw, labels)
    assert log_loss(fitted.apply(raw), labels) <= log_loss(raw, labels) + 0.005


def test_platt_mends_the_melanoma_logit_and_leaves_the_others_to_each_other() -> None:
    true, labels = sample(8000)
    raw = true.copy()
    others = logsumexp(np.delete(true, MELANOMA, axis=1), axis=1)
    raw[:, MELANOMA] = 3 * (true[:, MELANOMA] - others) + 2 + others
    found = class_scores.fit(raw, labels, method="platt")
    plain = class_scores.fit(raw, labels)
    assert log_loss(found.apply(raw), labels) < log_loss(plain.apply(raw), labels) - 0.01
    p, before = softmax(found.apply(raw), axis=1), softmax(plain.apply(raw), axis=1)
    rest = [c for c in range(N) if c != MELANOMA]
    share = p[:, rest] / p[:, rest].sum(1, keepdims=True)
    assert share == pytest.approx(before[:, rest] / before[:, rest].sum(1, keepdims=True), abs=1e-6)
    assert p[:, MELANOMA].mean() == pytest.approx((labels == MELANOMA).mean(), abs=0.005)


def test_temperature_alone_leaves_the_biases_alone() -> None:
    true, labels = sample(3000)
    found = class_scores.fit(true * 2, labels, method="temperature")
    assert found.temperature == pytest.approx(2, rel=0.1)
    assert set(found.bias) == {0.0}


def test_a_method_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"'isotonic'.*bcts"):
        class_scores.fit(*sample(50), method="isotonic")  # type: ignore[arg-type]


def test_calibration_stands_a_class_that_is_not_there() -> None:
    true, labels = sample(500)
    found = class_scores.fit(true[labels != 3], labels[labels != 3])
    assert np.all(np.isfinite(found.bias))


binary = st.integers(0, 10_000).map(
    lambda seed: (
        np.random.default_rng(seed).permutation([1.0] * (1 + seed % 40) + [0.0] * 50),
        np.random.default_rng(seed + 1).random(51 + seed % 40).round(2),
    )
)


@given(binary, st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_the_threshold_reaches_its_sensitivity_and_the_next_higher_does_not(
    drawn: tuple[Array, Array], wanted: float
) -> None:
    truth, p = drawn
    cut = statistics.threshold_at_sensitivity(truth, p, wanted)
    positives = p[truth == 1]
    assert (positives >= cut).mean() >= wanted
    higher = positives[positives > cut]
    if len(higher) and wanted == 0.95:
        assert (positives >= higher.min()).mean() < wanted
    expected = (p[truth == 0] < cut).mean()
    assert statistics.specificity_at_sensitivity(truth, p, wanted) == pytest.approx(expected)


def example(n: int = 400, seed: int = 0) -> tuple[Array, Array, list[str]]:
    """Outcomes drawn from their probabilities, in groups of two."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 5, n)
    return (rng.random(n) < p).astype(float), p, [f"g{i // 2}" for i in range(n)]


@pytest.mark.parametrize("name", ["auc", "average_precision", "brier", "specificity_at_95_sensitivity"])
def test_the_interval_holds_the_value(name: str) -> None:
    truth, p, groups = example()
    value, (low, high) = statistics.bootstrap(statistics.METRICS[name], truth, p, groups, repeats=200)
    assert low <= value <= high
    assert low < high
    assert value == pytest.approx(statistics.METRICS[name](truth, p))


def test_the_interval_is_the_same_every_time_and_wider_for_few() -> None:
    auc = statistics.METRICS["auc"]
    truth, p, groups = example()
    again = [statistics.bootstrap(auc, truth, p, groups, repeats=100) for _ in range(2)]
    assert again[0] == again[1]
    few = statistics.bootstrap(auc, *(part[:60] for part in (truth, p)), groups[:60], repeats=100)
    assert few[1][1] - few[1][0] > again[0][1][1] - again[0][1][0]


def test_pictures_of_one_lesion_are_drawn_together() -> None:
    """Every picture ten times over is no new evidence: by group, the interval does not shrink."""
    truth, p, _ = example(100)
    auc, names = statistics.METRICS["auc"], [str(i) for i in range(100)]
    once = statistics.bootstrap(auc, truth, p, names, repeats=200)[1]
    tenfold = statistics.bootstrap(
        auc, np.repeat(truth, 10), np.repeat(p, 10), np.repeat(names, 10).tolist(), repeats=200
    )[1]
    assert tenfold == pytest.approx(once, abs=1e-6)


def test_a_draw_of_one_class_alone_is_left_out() -> None:
    truth, p = np.array([1.0] + [0.0] * 9), np.linspace(1, 0, 10)
    value, (low, high) = statistics.bootstrap(statistics.METRICS["auc"], truth, p, list("abcdefghij"), repeats=50)
    assert (value, low, high) == (1, 1, 1)


def test_calibration_error_of_honest_and_of_boastful_probabilities() -> None:
    truth, p, _ = example(20_000)
    assert statistics.expected_calibration_error(truth, p) < 0.02
    assert statistics.expected_calibration_error(truth, np.sqrt(p)) > 0.1
    assert statistics.expected_calibration_error(truth, np.full(len(p), truth.mean())) < 0.05
    assert statistics.expected_calibration_error(np.ones(3), np.zeros(3)) == 1
