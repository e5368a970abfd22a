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


floors = st.sets(st.sampled_from(sorted(policy.FLOORS)))


@given(st.sampled_from(LEVELS), floors)
def test_floors_raise_to_the_highest_of_them_and_lower_nothing(level: Level, names: set[str]) -> None:
    found, raised_by = policy.raise_to_floors(level, names)
    assert found == max([level, *(policy.FLOORS[name] for name in names)], key=LEVELS.index)
    assert bool(raised_by) == (found != level)
    assert set(raised_by) <= names


@given(st.sampled_from(LEVELS), st.sampled_from(LEVELS), floors)
def test_for_equal_floors_the_level_follows_the_probability(a: Level, b: Level, names: set[str]) -> None:
    low, high = sorted((a, b), key=LEVELS.index)
    reached = [LEVELS.index(policy.raise_to_floors(level, names)[0]) for level in (low, high)]
    assert reached == sorted(reached)


@pytest.mark.parametrize(
    ("factors", "age", "wanted"),
    [
        ({"rapid_growth": "yes"}, 20, {"rapid_growth"}),
        ({"bleeding": "yes"}, 20, {"bleeding"}),
        ({"change": "yes"}, 39, set()),
        ({"change": "yes"}, 40, {"change"}),
        ({"change": "yes"}, None, {"change"}),
        ({"prior_melanoma": "yes"}, 50, {"prior_melanoma"}),
        ({"prior_melanoma": "yes", "new_mole": "yes"}, 30, {"prior_melanoma", "melanoma_before_and_change"}),
        ({"prior_melanoma": "yes", "change": "yes"}, 30, {"prior_melanoma", "melanoma_before_and_change"}),
        ({"prior_melanoma": "no", "change": "no", "bleeding": "no", "rapid_growth": "no"}, 70, set()),
        ({"itch": "yes", "new_mole": "yes", "diameter": "7_mm_or_more"}, 70, set()),
    ],
)
def test_floors_that_answers_call_for(factors: dict[str, str], age: int | None, wanted: set[str]) -> None:
    assert policy.of_answers(factors, age) == wanted


@pytest.mark.parametrize(
    ("p", "threshold", "specificity", "wanted"),
    [
        (0.05, 0.05, 0.5, True),
        (0.049, 0.05, 0.9, False),
        (0.9, 0.05, 0.49, False),
        (0.9, None, 0.9, False),
        (0.9, 0.05, None, False),
        (None, 0.05, 0.9, False),
    ],
)
def test_a_models_threshold_counts_only_where_its_specificity_was_measured_at_half_or_more(
    p: float | None, threshold: float | None, specificity: float | None, wanted: bool
) -> None:
    assert policy.above(p, threshold, specificity) is wanted


def test_one_step_up_and_high_stays() -> None:
    assert [policy.step_up(level) for level in LEVELS] == ["moderate", "high", "high"]


def test_an_operators_thresholds_are_used() -> None:
    strict = policy.Thresholds(high_melanoma=0.02, moderate_melanoma=0.001)
    assert [policy.by_probability(p, p, strict) for p in (0.0005, 0.001, 0.02)] == ["low", "moderate", "high"]
