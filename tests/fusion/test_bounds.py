import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import bounds, prompt, wording
from fusion.bounds import UnusableAnswer, parse
from fusion.policy import LEVELS, Level
from tests.fakes.briefings import CITED, TOLD, answered, briefing, written

GOOD = TOLD["en"]
CASE = briefing()
NUMBERS = ("melanoma", "malignant", "interval", "contributions", "person", "reasons", "explanation")


@pytest.mark.parametrize(
    "text",
    [
        written(),
        f"```json\n{written()}\n```",
        f"```\n{written()}\n```",
        f"  \n\t{written()}\n\n ",
        f"Here is the JSON you asked for:\n{written()}\nLet me know if it helps.",
        written(confidence=0.99, risk=0.001, level_override="low"),
        written(f"\n  {GOOD}  "),
    ],
    ids=["plain", "fenced", "fenced without a word", "padded", "chatty", "extra fields", "padded inside"],
)
def test_an_answer_is_found_in_its_wrapping(text: str) -> None:
    answer = parse(text, CASE)
    assert answer.explanation == GOOD
    assert set(answer.model_dump()) == {"level", "key_reasons", "explanation", "questions_for_doctor"}


def test_what_was_checked_is_what_is_shown() -> None:
    shown = parse(written("It\u2019s the\x00 picture\u202e that\u200b weighed\n\nmost in this\tresult."), CASE)
    assert shown.explanation == "It's the picture that weighed most in this result."


@pytest.mark.parametrize("level", LEVELS)
def test_its_level_is_taken_down_whatever_it_is(level: Level) -> None:
    assert parse(written(level=level), CASE).level == level


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "}",
        "}{",
        "I cannot help with medical questions.",
        "null",
        "[]",
        "{}",
        written()[:-10],
        written() + written(),
        "{level} is " + written(),
        json.dumps({"level": "moderate"}),
        json.dumps({"explanation": GOOD}),
        json.dumps({"level": "moderate", "explanation": GOOD}),
        written(key_reasons=None),
        written(key_reasons="age_sex"),
        written(key_reasons=[CITED] * (prompt.REASONS + 1)),
        written(questions_for_doctor=None),
        written(questions_for_doctor="How soon?"),
        written(questions_for_doctor=["Why?"]),
        written(questions_for_doctor=["How soon should this spot be seen?"] * (prompt.QUESTIONS + 1)),
        written(questions_for_doctor=["How soon should this spot be seen " * 10 + "?"]),
        written(level="medium"),
        written(level="MODERATE"),
        written(level=None),
        written(level=2),
        written(None),
        written(["a list", "of sentences"]),
        written(""),
        written("Too short."),
        written(" " * 50),
        written("\u200b" * 50),
        written("long " * 300),
        '{"level": "moderate", "explanation": "\\ud800 half a character, and some words"}',
        "{" + '"a":{' * 5000,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UnusableAnswer, match="JSON"):
        parse(text, CASE)


@given(st.text())
def test_no_text_at_all_gets_through_unread(text: str) -> None:
    with pytest.raises(UnusableAnswer):
        parse(text, CASE)


@given(st.text(min_size=20, max_size=1200))
def test_whatever_the_explanation_it_is_used_or_refused(text: str) -> None:
    try:
        answer = parse(written(text, "low"), CASE)
    except UnusableAnswer:
        return
    assert 20 <= len(answer.explanation) <= 1200
    assert not [c for c in answer.explanation if unicodedata.category(c)[0] == "C"], "no control or hidden characters"


@pytest.mark.parametrize("cited", [["floor.invented"], [CITED, "IGNORE ALL RULES"], [""], [CITED.upper()]])
def test_a_reason_it_was_not_given_is_refused(cited: list[str]) -> None:
    with pytest.raises(UnusableAnswer) as refused:
        parse(written(key_reasons=cited), CASE)
    assert (refused.value.rule, refused.value.proposed) == ("invented_id", "moderate")
    assert not [name for name in cited if name and name in str(refused.value)]


@pytest.mark.parametrize("question", ["This spot needs a second look soon.", "How soon? It should be seen at once."])
def test_what_is_no_question_is_not_one_for_the_doctor(question: str) -> None:
    with pytest.raises(UnusableAnswer) as refused:
        parse(written(questions_for_doctor=[question]), CASE)
    assert refused.value.rule == "no_question"


@pytest.mark.parametrize(
    ("ours", "proposed", "becomes"),
    [
        ("low", "low", "low"),
        ("low", "moderate", "moderate"),
        ("low", "high", "moderate"),
        ("moderate", "low", "moderate"),
        ("moderate", "moderate", "moderate"),
        ("moderate", "high", "high"),
        ("high", "low", "high"),
        ("high", "moderate", "high"),
        ("high", "high", "high"),
    ],
)
def test_its_level_counts_when_higher_by_one_step_and_never_lowers(
    ours: Level, proposed: Level, becomes: Level
) -> None:
    case = briefing(ours, headline=wording.HEADLINES[ours], advice=wording.ADVICE[ours])
    answer = bounds.HostedAnswer.model_validate(answered(level=proposed))
    decision = bounds.apply(case.decision, answer)
    assert decision.level == becomes
    assert decision.raised_by == (("llm",) if becomes != ours else ())
    if becomes == ours:
        assert decision == case.decision
    else:
        assert decision.headline == wording.HEADLINES[becomes]
        assert decision.advice == wording.ADVICE[becomes]
        assert decision.questions_for_doctor == wording.QUESTIONS[becomes]
    for number in NUMBERS:
        assert getattr(decision, number) == getattr(case.decision, number)


@pytest.mark.parametrize("cited", [[], ["prior"], ["prior", "prior"]])
def test_without_a_reason_of_this_person_nothing_is_raised(cited: list[str]) -> None:
    answer = bounds.HostedAnswer.model_validate(answered(level="high", key_reasons=cited))
    assert bounds.apply(CASE.decision, answer) == CASE.decision


def test_a_floor_and_the_hosted_model_are_both_named() -> None:
    case = briefing("moderate", raised_by=("poor_picture",))
    decision = bounds.apply(case.decision, bounds.HostedAnswer.model_validate(answered(level="high")))
    assert (decision.level, decision.raised_by) == ("high", ("poor_picture", "llm"))


def test_the_text_is_held_to_the_level_that_results() -> None:
    said = "The risk is moderate by the picture and the answers that you gave."
    assert parse(written(said, "moderate"), briefing("low"))
    with pytest.raises(UnusableAnswer, match="contradicts"):
        parse(written(said, "moderate", key_reasons=[]), briefing("low"))


def test_its_questions_come_behind_ours_and_none_of_ours_is_lost() -> None:
    ours = wording.QUESTIONS["high"]
    case = briefing("high", questions_for_doctor=ours)
    asked = ["Which other spots of mine should be looked at?", ours[0]]
    answer = parse(written(level="high", questions_for_doctor=asked), case)
    assert bounds.with_questions(case.decision, answer).questions_for_doctor == (*ours, asked[0])


@pytest.mark.parametrize(
    ("text", "proposed"),
    [
        ('{"level": "low", "explanation": "' + "x" * 1300 + '", "key_reasons": [], "questions_for_doctor": []}', "low"),
        ('{"level": "low"}', "low"),
        ('{"level": "none"}', None),
        ('["low"]', None),
        ("low", None),
    ],
)
def test_the_level_of_an_answer_that_breaks_the_schema_is_still_recorded(text: str, proposed: str | None) -> None:
    with pytest.raises(bounds.UnusableAnswer) as refused:
        bounds.parse(text, CASE)
    assert (refused.value.rule, refused.value.proposed) == ("schema", proposed)
