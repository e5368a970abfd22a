"""Levels: thresholds, then floors that can only raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import policy
from fusion.policy import LEVELS, Level

probability = st.floats(0, 1)


@pytest.mark.parametrize(
    ("melanoma", "malignant", "level"),
    [
        (0.0, 0.0, "low"),
        (0.00999, 0.02999, "low"),
        (0.01, 0.01, "moderate"),
        (0.001, 0.03, "moderate"),
        (0.02999, 0.09999, "moderate"),
        (0.03, 0.03, "high"),
        (0.001, 0.10, "high"),
        (1.0, 1.0, "high"),
    ],
)
def test_levels_at_their_thresholds(melanoma: float, malignant: float, level: Level) -> None:
    assert policy.by_probability(melanoma, malignant) == level


@given(probability, probability, probability, probability)
def test_a_higher_probability_never_has_a_lower_level(a: float, b: float, c: float, d: float) -> None:
    lower = policy.by_probability(min(a, b), min(c, d))
    assert LEVELS.index(lower) <= LEVELS.index(policy.by_probability(max(a, b), max(c, d)))


@given(st.sampled_from(LEVELS), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_floors_forbid_low_and_lower_nothing(level: Level, prior: bool, ok: bool, poor: bool, strange: bool) -> None:
    found, raised_by = policy.raise_to_floors(
        level, prior_melanoma=prior, classifier_ok=ok, picture_poor=poor, out_of_distribution=strange
    )
    assert LEVELS.index(found) >= LEVELS.index(level)
    if prior or poor or strange or not ok:
        assert found != "low"
    assert bool(raised_by) == (found != level)
    applies = {"prior_melanoma": prior, "no_classifier": not ok, "poor_picture": poor, "out_of_distribution": strange}
    assert set(raised_by) <= {name for name, holds in applies.items() if holds}
