"""Signs of the lesion: they raise, within a bound, and no answer lowers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import lesion, questionnaire
from fusion.questionnaire import Answers

ASKED = questionnaire.load()
SIGNS = {q.id: [c for c in q.choices if c != "unsure"] for q in ASKED.questions if q.sign}
answers = st.fixed_dictionaries({}, optional={name: st.sampled_from(choices) for name, choices in SIGNS.items()})


def worth(factors: dict[str, str]) -> float:
    return lesion.evaluate(Answers(factors=factors), ASKED).log_odds


@given(answers)
def test_signs_raise_within_the_bound_and_are_all_named(factors: dict[str, str]) -> None:
    found = lesion.evaluate(Answers(factors=factors), ASKED)
    assert 0 <= found.log_odds <= lesion.CAP
    assert {factor.id: factor.answer for factor in found.factors} == factors


@given(answers)
def test_more_answers_never_lower(factors: dict[str, str]) -> None:
    for name in factors:
        assert worth({other: answer for other, answer in factors.items() if other != name}) <= worth(factors)


def test_a_small_spot_is_not_safe_for_that() -> None:
    """A third of 253 melanomas were under 6 mm."""
    assert worth({"diameter": "under_7_mm"}) == 0 < worth({"diameter": "7_mm_or_more"})


def test_itch_alone_says_little() -> None:
    assert worth({"itch": "yes"}) < 0.1


def test_all_signs_together_are_worth_a_positive_checklist() -> None:
    """Walter 2013: LR+ 1.97 for a weighted 7-point checklist of 4 or more."""
    worst = {"change": "yes", "bleeding": "yes", "diameter": "7_mm_or_more", "rapid_growth": "yes", "new_mole": "yes"}
    assert math.exp(worth(worst)) == pytest.approx(1.97)
