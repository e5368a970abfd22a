import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import prompt, questionnaire, rules, wording
from fusion.picture import ImageEvidence
from fusion.policy import LEVELS, Level
from fusion.prompt import UnusableAnswer, messages, parse

GOOD = "The picture weighed most here, and the answers on fair skin and family added a little."
DECISION = replace(
    rules.decide(
        rules.Case(
            answers=questionnaire.load().parse({"age": 71, "sex": "male", "fair_skin": "yes", "prior_melanoma": "no"}),
            modality="dermoscopy",
            classifier=ImageEvidence(melanoma=0.3, prevalence=0.1, logit_sd=0.4),
        ),
        questionnaire.load(),
        prior=0.025,
    ),
    level="moderate",
    melanoma=0.0312,
    interval=(0.012, 0.1249),
    malignant=0.06,
)
"""3.1 % (1.2 % to 12 %), any skin cancer 6.0 %."""


def written(explanation: object = GOOD, level: object = "moderate", **extra: object) -> str:
    return json.dumps({"level": level, "explanation": explanation, **extra})


def facts(decision: rules.Decision = DECISION) -> dict[str, Any]:
    system, user = messages(decision)
    assert (system["role"], user["role"]) == ("system", "user")
    found: dict[str, Any] = json.loads(user["content"])
    return found


def words(value: object) -> list[str]:
    if isinstance(value, dict):
        return [word for key, item in value.items() for word in [key, *words(item)]]
    if isinstance(value, list):
        return [word for item in value for word in words(item)]
    return [value] if isinstance(value, str) else []


def test_only_coded_answers_our_numbers_and_our_sentences_are_sent() -> None:
    sent = facts()
    assert sent["answers"] == {"fair_skin": "yes", "prior_melanoma": "no"}
    assert sent["figures"] == {"melanoma": "3.1 %", "melanoma_interval": "1.2 % to 12 %", "any_skin_cancer": "6.0 %"}
    assert set(sent["log_odds"]) == set(DECISION.contributions)
    ours = {
        *("level", "figures", "raised_by", "log_odds", "answers", "reasons"),
        *LEVELS,
        *sent["figures"],
        *sent["figures"].values(),
        *DECISION.contributions,
        *wording.RAISED_BY,
        *(question.id for question in questionnaire.load().questions),
        *("yes", "no"),
        *DECISION.reasons,
    }
    assert set(words(sent)) <= ours


def test_age_and_sex_do_not_go_out() -> None:
    """They are in the log-odds; a name for them is not needed to explain anything."""
    sent = messages(DECISION)[1]["content"]
    assert "71" not in sent
    assert '"male"' not in sent


def test_a_small_risk_is_never_sent_or_told_as_nought() -> None:
    tiny = replace(DECISION, level="low", melanoma=0.0002, interval=(0.00001, 0.0004), malignant=0.0004)
    assert facts(tiny)["figures"]["melanoma"] == "less than 0.1 %"
    for told in ("The chance of melanoma is 0.0 % by this picture.", "It comes to 0 percent of spots like this one."):
        with pytest.raises(UnusableAnswer, match="number"):
            parse(written(told), tiny)
    assert parse(written("Less than 0.1 % of spots like this are melanoma."), tiny)


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
    answer = parse(text, DECISION)
    assert answer.explanation == GOOD
    assert set(answer.model_dump()) == {"level", "explanation"}


def test_what_was_checked_is_what_is_shown() -> None:
    shown = parse(written("It\u2019s the\x00 picture\u202e that\u200b weighed\n\nmost in this\tresult."), DECISION)
    assert shown.explanation == "It's the picture that weighed most in this result."


@pytest.mark.parametrize("level", LEVELS)
def test_its_level_is_taken_down_whatever_it_is(level: Level) -> None:
    assert parse(written(level=level), DECISION).level == level


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
        parse(text, DECISION)


@settings(deadline=None)
@given(st.text())
def test_no_text_at_all_gets_through_unread(text: str) -> None:
    with pytest.raises(UnusableAnswer):
        parse(text, DECISION)


@settings(deadline=None)
@given(st.text(min_size=20, max_size=1200))
def test_whatever_the_explanation_it_is_used_or_refused(text: str) -> None:
    try:
        answer = parse(json.dumps({"level": "low", "explanation": text}), DECISION)
    except UnusableAnswer:
        return
    assert 20 <= len(answer.explanation) <= 1200
    assert not [c for c in answer.explanation if unicodedata.category(c)[0] == "C"], "no control or hidden characters"


@pytest.mark.parametrize(
    "said",
    [
        "About 3.1 % of spots like this are melanoma, because of how the picture looks.",
        "The range runs from 1.2 to 12 percent, and 6 % are some skin cancer.",
        "Skin cancer of some kind is found in 6.0% of such spots, mostly for the picture.",
        "You have had no earlier melanomas, and fair skin raised the risk a little.",
        "The picture looks more like melanoma than the average spot, which weighed most.",
        "Two of your answers and one thing in the picture count: skin type and colour.",
        "This is a moderate risk. A picture cannot rule out melanoma, so please have it looked at.",
        "No risk factors besides fair skin were given; higher age adds to the risk.",
    ],
)
def test_honest_explanations_pass(said: str) -> None:
    assert parse(written(said), DECISION).explanation == said


@pytest.mark.parametrize(
    "said",
    [
        "The chance that this spot is a problem is 97 % by the picture.",
        "The chance is 31 percent by the look of the picture alone.",
        "The chance is 3,1 percent by the look of the picture alone.",
        "Out of 1,000 people like you some will be found to be ill.",
        "The picture alone gives about ninety percent, which is much.",
        "About one in ten spots that look like this one turn out badly.",
        "Nine out of ten spots that look like this one turn out well.",
        "Your fair skin makes this twice as likely as for other people.",
        "Your fair skin makes this three times as likely as for others.",
        "Your fair skin has doubled the chance when compared to others.",
        "A tenfold chance follows from what you said about your family.",
        "The chance is about ½ by the look of the picture alone, we think.",
        "The chance is about \uff19\uff10 % by the look of the picture alone.",
        "The chance is about 9\u200b7 % by the look of the picture alone.",
        "At the age of 71 such spots are more frequent than in the young.",
    ],
)
def test_numbers_that_are_not_ours_are_refused(said: str) -> None:
    with pytest.raises(UnusableAnswer, match="number"):
        parse(written(said), DECISION)


def test_our_log_odds_are_no_percentages() -> None:
    """They are sent so that it can tell what weighed most; "-3.7" must not come back as "3.7 %"."""
    assert facts()["log_odds"]["prior"] == -3.7
    with pytest.raises(UnusableAnswer, match="number"):
        parse(written("About 3.7 % of spots like this one are melanoma, we think."), DECISION)


@pytest.mark.parametrize(
    "said",
    [
        "Good news: the answers and the picture gave a small figure.",
        "The picture shows a harmless mole as far as can be seen.",
        "The spot looks benign, and your answers add very little to it.",
        "There is no cancer to be seen in this picture of your skin.",
        "There is no sign of melanoma in this picture of your skin.",
        "There is no evidence of skin cancer in what was sent to us.",
        "The spot in this picture is not a melanoma as far as can be told.",
        "The spot in this picture is not malignant as far as can be told.",
        "You do not need to see a doctor about this spot at this time.",
        "You don't need to see a doctor about this spot at this time.",
        "You don\u2019t need to see a doctor about this spot at this time.",
        "Please don't worry about this spot, it has a very even colour.",
        "Please don\u2019t worry about this spot, it has a very even colour.",
        "Please do not\nworry about this spot, it has a very even colour.",
        "There is nothing to worry about in the picture that you sent.",
        "There is no need to worry about the picture that you have sent.",
        "There is no cause for concern in the picture that you have sent.",
        "There is no reason to be concerned by the picture that you sent.",
        "The spot is not dangerous as far as the picture lets us see it.",
        "There is no risk in this spot as far as the picture lets us see.",
        "Nothing serious was found in the picture or among your answers.",
        "The spot is safe as far as the picture and your answers can say.",
        "Your mole looks perfectly normal in the picture that you sent us.",
        "This is a non\u2011cancerous spot as far as the picture lets us see.",
        "Melanoma was ruled out by the picture and the answers you gave.",
        "The picture rules out melanoma together with the answers given.",
        "The spot is HARM\u00adLESS as far as the picture lets us see it all.",
    ],
)
def test_reassurance_is_refused(said: str) -> None:
    with pytest.raises(UnusableAnswer, match="reassures"):
        parse(written(said), DECISION)


@pytest.mark.parametrize(
    "said",
    [
        "You have melanoma, as the picture and your answers both show.",
        "You have skin cancer, as the picture and your answers both show.",
        "You have a basal cell carcinoma, going by the picture you sent.",
        "This is a melanoma, going by the colours in the picture you sent.",
        "This is clearly cancer, going by the colours in the picture sent.",
        "It's a melanoma, going by the colours in the picture you sent us.",
        "The spot is malignant, going by the colours in the picture sent.",
        "This lesion is most unusual. The diagnosis is melanoma, I think.",
        "You are hereby diagnosed with melanoma by the picture you sent.",
    ],
)
def test_diagnoses_are_refused(said: str) -> None:
    with pytest.raises(UnusableAnswer, match="diagnoses"):
        parse(written(said), DECISION)


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("high", "This is a low risk spot by the picture and by your answers."),
        ("high", "This is a low-risk spot by the picture and by your answers."),
        ("high", "The risk is low by the picture and by all of your answers."),
        ("high", "The RISK IS LOW by the picture and by all of your answers."),
        ("high", "The risk of melanoma is low by the picture and the answers."),
        ("high", "The risk level was rated low by the picture and answers."),
        ("high", "The chance of melanoma is minimal by picture and answers."),
        ("high", "There is only a very small chance by picture and answers."),
        ("high", "This is a moderate risk by the picture and by the answers."),
        ("high", "The risk is medium by the picture and all of the answers."),
        ("moderate", "This is a high risk by the picture and by the answers."),
        ("moderate", "There is a high melanoma risk by picture and by answers."),
        ("moderate", "A low overall risk follows from picture and from answers."),
        ("low", "The risk is high by the picture and by all of your answers."),
        ("low", "This gives an intermediate risk by the picture and answers."),
    ],
)
def test_another_level_than_ours_is_refused(level: Level, said: str) -> None:
    with pytest.raises(UnusableAnswer, match="contradicts"):
        parse(written(said), replace(DECISION, level=level))


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("low", "The risk is low by the picture and by all of your answers."),
        ("moderate", "This is a moderate risk by the picture and the answers."),
        ("high", "The risk is high by the picture and by all of your answers."),
    ],
)
def test_our_own_level_may_be_named(level: Level, said: str) -> None:
    assert parse(written(said), replace(DECISION, level=level))


def test_a_refusal_names_the_rule_and_quotes_nothing() -> None:
    with pytest.raises(UnusableAnswer) as refused:
        parse(written("The spot is harmless, SECRET, as far as we can see it."), DECISION)
    assert "SECRET" not in str(refused.value)
    assert "harmless" not in str(refused.value)


@pytest.mark.parametrize("told", [*wording.RAISED_BY.values(), *DECISION.reasons])
def test_our_own_reasons_pass_our_own_rules(told: str) -> None:
    """A model that only repeats what it was given must not be refused for it."""
    assert parse(written(told), DECISION).explanation == told


def test_the_prompt_has_a_version() -> None:
    assert prompt.VERSION
