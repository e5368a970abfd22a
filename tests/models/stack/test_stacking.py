"""The stack's fit against known weights that generated the data, and the bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from models.classifier.data.labels import CLASSES, MELANOMA
from models.classifier.evaluation import statistics
from models.stack import stacking

PREVALENCE = 0.2
BASE = float(np.log(PREVALENCE / (1 - PREVALENCE)))


def sample(n: int, first: float, second: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 2, n), rng.normal(0, 2, n)
    p = 1 / (1 + np.exp(-(BASE + first * a + second * b)))
    return a, b, (rng.random(n) < p).astype(float)


def test_it_agrees_with_plain_logistic_regression_where_no_weight_is_on_its_bound() -> None:
    a, b, truth = sample(3000, 0.8, 0.4)
    found = stacking.fit(a, b, truth, PREVALENCE)
    plain = LogisticRegression(C=1e9, tol=1e-8).fit(np.stack([a, b], 1), truth)
    assert [found.classifier, found.vlm] == pytest.approx(plain.coef_[0].tolist(), abs=1e-3)
    assert found.intercept == pytest.approx(plain.intercept_[0] - BASE, abs=1e-3)


def test_a_model_that_speaks_the_wrong_way_round_gets_no_weight() -> None:
    a, b, truth = sample(2000, 0.8, -0.5)
    found = stacking.fit(a, b, truth, PREVALENCE)
    assert found.vlm == 0
    assert found.classifier > 0.5


def test_weighing_rows_is_repeating_them() -> None:
    a, b, truth = sample(300, 0.7, 0.3)
    times = np.random.default_rng(1).integers(0, 3, 300)
    weighed = stacking.fit(a, b, truth, PREVALENCE, times.astype(float))
    repeated = stacking.fit(*(np.repeat(x, times) for x in (a, b, truth)), PREVALENCE)
    assert weighed.classifier == pytest.approx(repeated.classifier, abs=1e-3)


@settings(max_examples=15)
@given(st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 1000))
def test_more_evidence_for_melanoma_never_lowers_the_stack(first: float, second: float, seed: int) -> None:
    a, b, truth = sample(200, first, second, seed)
    if not 0 < truth.sum() < len(truth):
        return
    found = stacking.fit(a, b, truth, PREVALENCE)
    assert (found.shift(a + 1, b) >= found.shift(a, b)).all()
    assert (found.shift(a, b + 1) >= found.shift(a, b)).all()


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="with melanoma and without"):
        stacking.fit(np.zeros(5), np.zeros(5), np.ones(5), PREVALENCE)


def test_nested_folds_do_not_see_what_they_judge() -> None:
    """Scores that have nothing to do with the labels: on seen images seven biases would do better than chance."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, len(CLASSES), 400)
    truth = (labels == MELANOMA).astype(float)
    groups = [f"g{i // 2}" for i in range(400)]
    found = stacking.nested(rng.normal(size=(400, 7)), truth + rng.normal(size=400), labels, groups, 0.0)
    _, (low, high) = statistics.bootstrap(statistics.METRICS["auc"], truth, found.classifier, groups, repeats=200)
    assert low < 0.5 < high
    assert statistics.METRICS["auc"](truth, found.stack) > 0.6
