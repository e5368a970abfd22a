"""What a person reads: plain, complete, and never an all-clear (seed mistake 10)."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import policy, questionnaire, rules, wording
from fusion.picture import ImageEvidence
from fusion.policy import LEVELS, Level
from fusion.questionnaire import Answers
from fusion.rules import Case, Decision

QUESTIONNAIRE = questionnaire.load()
WORST = {
    question.id: max(weights, key=lambda answer: weights[answer])
    for question in QUESTIONNAIRE.questions
    if (weights := question.evidence.relative_risks if question.evidence else {})
    or (weights := question.sign.likelihood_ratios if question.sign else {})
}
IDS = list(WORST)

ALL_CLEAR = re.compile(
    r"all[- ]clear|good news|great news|harmless|benign|healthy|safe\b|no cancer|not cancer|no melanoma|not melanoma|"
    r"cancer[- ]free|nothing to worry|no need to|do not worry|don't worry|reassur|rules? out|no risk|\bfine\b|negative",
    re.IGNORECASE,
)


def decide(level: Level, *, sure: bool = True, factors: dict[str, str] | None = None) -> Decision:
    p = {"low": 0.002, "moderate": 0.08, "high": 0.9}[level]
    seen = ImageEvidence(p, 0.11, malignant=p, malignant_prevalence=0.2, logit_sd=0.4) if sure else None
    person = Answers.model_validate({"age": 40, "factors": factors or {}})
    return rules.decide(Case(person, "dermoscopy", seen), QUESTIONNAIRE, 0.025)


def texts(decision: Decision) -> list[str]:
    return [reason.text for reason in decision.reasons]


def all_text(decision: Decision) -> str:
    parts = (
        decision.headline,
        decision.advice,
        decision.explanation,
        *texts(decision),
        *decision.questions_for_doctor,
    )
    return "\n".join(parts)


def test_low_never_sounds_like_an_all_clear() -> None:
    low = decide("low")
    assert low.level == "low"
    text = all_text(low) + wording.DISCLAIMER
    assert "cannot rule out melanoma" in text
    assert ALL_CLEAR.findall(text.replace("cannot rule out", "")) == []


@pytest.mark.parametrize(
    "text", ["Good news!", "It is harmless.", "This rules out cancer", "No cancer", "You are safe."]
)
def test_the_all_clear_pattern_itself_finds_them(text: str) -> None:
    assert ALL_CLEAR.search(text)


def test_low_says_what_to_watch_for_and_when_to_see_a_doctor() -> None:
    advice = wording.ADVICE["low"]
    assert all(word in advice for word in ("doctor", "changes", "bleeds", "every month"))


@pytest.mark.parametrize(("level", "when"), [("moderate", "within the next few weeks"), ("high", "within two weeks")])
def test_advice_says_who_and_when(level: Level, when: str) -> None:
    assert when in wording.ADVICE[level]
    assert "doctor" in wording.ADVICE[level]


def test_every_level_floor_and_factor_has_words() -> None:
    assert set(wording.HEADLINES) == set(wording.ADVICE) == set(wording.QUESTIONS) == set(LEVELS)
    assert set(wording.FACTORS) == set(IDS)
    assert set(wording.RAISED_BY) == set(policy.FLOORS)


def test_disclaimer_says_it_is_no_device_and_can_miss() -> None:
    assert "not a medical device" in wording.DISCLAIMER
    assert "can miss a melanoma" in wording.DISCLAIMER


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "less than 0.1 %"),
        (0.000999, "less than 0.1 %"),
        (0.001, "0.1 %"),
        (0.0042, "0.4 %"),
        (0.031, "3.1 %"),
        (0.38, "38 %"),
        (0.99, "99 %"),
        (0.9999, "more than 99 %"),
        (1.0, "more than 99 %"),
    ],
)
def test_percent_as_a_person_reads_it(p: float, text: str) -> None:
    assert wording.percent(p) == text


@given(st.floats(0, 1), st.floats(0, 1))
def test_percent_never_orders_two_probabilities_wrongly(a: float, b: float) -> None:
    def number(p: float) -> float:
        text = wording.percent(p)
        return {"less": 0.0, "more": 99.5}.get(text.split()[0], float(text.split()[-2]))

    assert number(min(a, b)) <= number(max(a, b))
    assert "100 %" not in wording.percent(a)


@pytest.mark.parametrize("question_id", IDS)
def test_an_answer_that_raises_is_among_the_reasons_once_and_by_its_id_and_another_is_not(question_id: str) -> None:
    worst = decide("high", factors={question_id: WORST[question_id]})
    counts = sum(worst.contributions[part] for part in ("person", "cap", "lesion")) > 0
    if not counts:  # many moles: worth no more than the average of what is asked of moles
        assert wording.FACTORS[question_id] not in texts(worst)
        return
    assert texts(worst).count(wording.FACTORS[question_id]) == 1 or f"floor.{question_id}" in {
        one.id for one in worst.reasons
    }
    harmless = [
        c
        for q in QUESTIONNAIRE.questions
        if q.id == question_id
        for c in q.choices
        if c in {"no", "dark", "VI", "none"}
    ]
    for answer in harmless:
        assert wording.FACTORS[question_id] not in texts(decide("moderate", factors={question_id: answer}))


def test_reasons_begin_with_what_raised_the_level() -> None:
    case = Case(Answers(age=25), "dermoscopy", ImageEvidence(0.002, 0.11), picture_poor=True)
    raised = rules.decide(case, QUESTIONNAIRE, 0.025)
    assert raised.raised_by == ("poor_picture",)
    assert raised.reasons[0] == wording.Reason("floor.poor_picture", wording.RAISED_BY["poor_picture"])


def test_says_that_no_model_could_judge() -> None:
    blind = decide("low", sure=False)
    assert "No calibrated model could judge the image, so the image does not count." in texts(blind)
    assert not any("looks" in reason for reason in texts(blind))


def test_says_which_way_the_image_points() -> None:
    assert "The image looks less like melanoma than the average spot." in texts(decide("low"))
    assert "The image looks more like melanoma than the average spot." in texts(decide("high"))


def test_a_photograph_that_looks_harmless_has_a_reason_that_says_so() -> None:
    found = rules.decide(Case(Answers(), "photograph", ImageEvidence(0.001, 0.11, logit_sd=0.4)), QUESTIONNAIRE, 0.025)
    assert any("cannot lower the risk" in reason for reason in texts(found))
    assert found.melanoma >= 0.024


def test_another_skin_cancer_is_named() -> None:
    seen = ImageEvidence(0.05, 0.11, malignant=0.9, malignant_prevalence=0.2)
    found = rules.decide(Case(Answers(), "dermoscopy", seen), QUESTIONNAIRE, 0.025)
    assert any("another skin cancer" in reason for reason in texts(found))


def test_explanation_holds_the_numbers_that_were_decided() -> None:
    for level, sure in itertools.product(LEVELS, (True, False)):
        found = decide(level, sure=sure)
        numbers = (found.melanoma, *found.interval, found.malignant)
        assert all(wording.percent(number) in found.explanation for number in numbers)


def test_a_tiny_risk_is_not_about_less_than() -> None:
    seen = ImageEvidence(0.0001, 0.11, malignant=0.0001, malignant_prevalence=0.2, logit_sd=0.4)
    tiny = rules.decide(Case(Answers(age=22, sex="male"), "dermoscopy", seen), QUESTIONNAIRE, 0.001)
    assert "people like you, less than 0.1 % are melanoma" in tiny.explanation
    assert "about less" not in tiny.explanation
