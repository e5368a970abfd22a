import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vlm.calibration.platt import fit
from models.vlm.serving.scoring import MIN_MASS, PlattCalibration, score

LOGITS = st.floats(-30, 30)
CALIBRATIONS = st.builds(
    PlattCalibration, slope=st.floats(0.01, 5), intercept=st.floats(-6, 6), null_logit=st.floats(-10, 10)
)


@given(CALIBRATIONS, LOGITS, LOGITS)
def test_a_surer_yes_is_never_a_lower_risk(calibration: PlattCalibration, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= calibration.melanoma(low) <= calibration.melanoma(high) <= 1


@given(CALIBRATIONS, LOGITS)
def test_the_probability_is_that_of_the_logit(calibration: PlattCalibration, raw: float) -> None:
    z = calibration.logit(raw)
    assert calibration.melanoma(raw) == pytest.approx(1 / (1 + math.exp(-z)), rel=1e-6)


@pytest.mark.parametrize("slope", [0, -1, math.nan, math.inf])
def test_a_model_whose_yes_means_no_has_no_calibration(slope: float) -> None:
    with pytest.raises(ValueError, match="slope"):
        PlattCalibration(slope=slope, intercept=0, null_logit=0)


@given(st.floats(0.001, 0.999))
def test_the_logit_of_a_verdict_is_that_of_yes_against_no(p: float) -> None:
    verdict = score([("Yes", math.log(0.9 * p)), ("No", math.log(0.9 * (1 - p)))])
    assert verdict.logit == pytest.approx(math.log(p / (1 - p)), abs=1e-6)


def test_an_answer_that_was_hardly_given_has_no_logit() -> None:
    mostly_other = score([("The", math.log(0.8)), ("Yes", math.log(0.1)), ("No", math.log(0.01))])
    assert mostly_other.answer_mass < MIN_MASS
    assert mostly_other.logit is None
    assert score([("The", math.log(0.9))]).logit is None


def test_a_certain_answer_has_a_finite_logit() -> None:
    assert score([("Yes", 0.0), ("No", -400.0)]).logit == pytest.approx(math.log(1e9), abs=0.1)


@pytest.mark.parametrize(("slope", "intercept"), [(0.3, -2.0), (1.5, 0.5)])
def test_fitting_finds_the_line_the_labels_came_from(slope: float, intercept: float) -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(1, 3, 20_000)
    truth = (rng.random(len(raw)) < 1 / (1 + np.exp(-(slope * (raw - 1) + intercept)))).astype(np.float64)
    found = fit(raw, truth, null_logit=1.0)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.1)
    assert found.null_logit == 1.0
    p = np.array([found.melanoma(value) for value in raw])
    assert p.mean() == pytest.approx(truth.mean(), abs=0.005)


def test_a_separable_fold_gives_no_infinite_slope() -> None:
    found = fit(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]), 0.0)
    assert 0 < found.slope < 10


@pytest.mark.parametrize("truth", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
def test_one_kind_of_picture_is_no_fold(truth: list[float]) -> None:
    with pytest.raises(ValueError, match="with melanoma and without"):
        fit(np.array([1.0, 2.0, 3.0]), np.array(truth), 0.0)


def test_a_model_worse_than_chance_is_refused() -> None:
    raw = np.linspace(-3, 3, 200)
    with pytest.raises(ValueError, match="cannot be released"):
        fit(raw, (raw < 0).astype(np.float64), 0.0)
