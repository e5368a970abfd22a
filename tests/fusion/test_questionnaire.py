"""The questionnaire as data, and what gets through `parse`."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fusion import questionnaire
from fusion.questionnaire import InvalidAnswers

ASKED = questionnaire.load()
QUESTIONS = {question.id: question for question in ASKED.questions}

CSV = {
    ("Bradford 2010", "q1"): 8.61,
    ("Wu 2017", "q2"): 2.22,
    ("Gandini 2005 I", "q3"): 6.89,
    ("Olsen CM 2010", "q3"): 1.017,
    ("Gandini 2005 III", "q4"): 1.74,
    ("Gandini 2005 III", "q5"): 2.06,
    ("Chang 2009 IJE", "q6"): 1.5,
    ("Huang 2015", "q7"): 1.83,
    ("Dahlke 2014", "q8"): 2.4,
    ("Olsen CM 2014", "q8"): 1.50,
}
"""(source, item) to estimate: the central rows of the evidence table, transcribed."""

ITEMS = {
    "prior_melanoma": "q1",
    "prior_skin_cancer": "q2",
    "many_moles": "q3",
    "family_skin_cancer": "q4",
    "fair_skin": "q5",
    "sunburns": "q6",
    "parkinsons": "q7",
    "weak_immune_system": "q8",
}


def test_asks_melalogs_own_questions_first_and_all_in_plain_words() -> None:
    assert set(ITEMS) | {"age", "sex"} <= set(QUESTIONS)
    assert all(QUESTIONS[name].choices == ("yes", "no", "unsure") for name in ITEMS)
    for question in ASKED.questions:
        assert question.text.endswith("?")
        assert question.help
        assert question.source
        assert question.type == "integer" or question.choices[-1] == "unsure"
        plain = {"yes", "no", "unsure", "female", "male"}
        assert set(question.choices) - plain <= set(question.labels), "a choice without words"


@pytest.mark.parametrize(
    "asked", ["prior_melanoma", "prior_skin_cancer", "family_skin_cancer", "fair_skin", "sunburns", "parkinsons"]
)
def test_estimate_is_that_of_its_source(asked: str) -> None:
    question = QUESTIONS[asked]
    assert question.evidence.relative_risks == {"yes": CSV[question.source, ITEMS[asked]]}


def test_estimate_between_two_sources_lies_between_them() -> None:
    immune = QUESTIONS["weak_immune_system"]
    named = [CSV[source, "q8"] for source in immune.source.split(", ")]
    assert len(named) == 2
    assert min(named) < immune.evidence.relative_risks["yes"] < max(named)


def test_many_moles_is_a_judgement_and_says_so() -> None:
    """Many moles say little of this one: 1.0 to 1.2 (docs/evidence.md, section 4.5), not the source's 6.89."""
    moles = QUESTIONS["many_moles"]
    assert moles.source.startswith("judgement after ")
    assert {("Gandini 2005 I", "q3"), ("Olsen CM 2010", "q3")} <= CSV.keys()
    assert all(name in moles.source for name in ("Gandini 2005 I", "Olsen CM 2010"))
    assert 1 < moles.evidence.relative_risks["yes"] / moles.evidence.mean <= 1.2


@pytest.mark.parametrize("part", ["evidence", "sign"])
def test_a_weight_for_an_answer_that_cannot_be_given_is_refused(part: str) -> None:
    weights = {"evidence": {"cluster": "c", "relative_risks": {"yse": 2.0}, "prevalences": {}}}
    weights["sign"] = {"likelihood_ratios": {"yse": 2.0}}
    question = QUESTIONS["itch"].model_dump(exclude={"sign", "evidence"}) | {part: weights[part]}
    with pytest.raises(ValidationError, match="itch names an answer that is not among its choices"):
        questionnaire.QuestionnaireItem.model_validate(question)


def test_a_sign_below_one_is_refused_because_no_answer_about_the_spot_may_clear_it() -> None:
    with pytest.raises(ValidationError):
        questionnaire.Sign(likelihood_ratios={"no": 0.5})


def test_as_fhir_it_asks_the_same() -> None:
    resource = ASKED.to_fhir()
    assert resource["version"] == ASKED.version
    assert [item["linkId"] for item in resource["item"]] == list(QUESTIONS)
    codes = {
        item["linkId"]: [o["valueCoding"]["code"] for o in item.get("answerOption", [])] for item in resource["item"]
    }
    assert codes["diameter"] == list(QUESTIONS["diameter"].choices)


valid = st.fixed_dictionaries(
    {},
    optional={
        "age": st.one_of(st.none(), st.integers(0, 120)),
        "sex": st.sampled_from(["female", "male", "unsure", None]),
        **{q.id: st.sampled_from([*q.choices, None]) for q in ASKED.questions if q.choices and q.id != "sex"},
    },
)


@given(valid)
def test_unsure_null_and_missing_are_the_same(raw: dict[str, Any]) -> None:
    answered = {field: value for field, value in raw.items() if value not in {None, "unsure"}}
    assert ASKED.parse(raw) == ASKED.parse(answered)


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(max_size=20), st.recursive(st.none() | st.booleans() | st.text() | st.floats(), st.lists))
)
def test_anything_else_is_refused_by_name_and_without_quoting_it(raw: dict[str, Any]) -> None:
    refused = {field for field in raw if field not in QUESTIONS}
    if not refused:
        return
    with pytest.raises(InvalidAnswers) as caught:
        ASKED.parse(raw)
    assert refused <= {field for field, _ in caught.value.problems}
    assert {message for field, message in caught.value.problems if field in refused} == {"there is no such question"}


@pytest.mark.parametrize("value", [-1, 121, 10**30, 45.0, float("nan"), "45", True, [45], {"years": 45}, "unsure"])
def test_age_must_be_a_whole_number_in_range(value: object) -> None:
    with pytest.raises(InvalidAnswers, match="age: must be a whole number from 0 to 120"):
        ASKED.parse({"age": value})


@pytest.mark.parametrize(
    "value", ["Yes", "YES", "y", "true", True, 1, 1.0, "", "no ", "not yes", ["yes"], {"yes": 1}, "¿"]
)
@pytest.mark.parametrize("field", ["sex", "sunburns"])
def test_a_choice_must_be_one_of_its_choices(field: str, value: object) -> None:
    """Seed mistake 2: nothing is read into an answer that merely contains yes or no."""
    with pytest.raises(InvalidAnswers, match=f"{field}: must be one of "):
        ASKED.parse({field: value})


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(InvalidAnswers) as caught:
        ASKED.parse({"age": "old", "sex": "x", "sunburns": "often", "shoe_size": 43, "parkinsons": "no"})
    assert {field for field, _ in caught.value.problems} == {"age", "sex", "sunburns", "shoe_size"}


def test_another_versions_questions_pass_between_services_but_wrong_answers_do_not() -> None:
    assert ASKED.parse({"shoe_size": 43, "sunburns": "yes"}, ignore_unknown=True).factors == {"sunburns": "yes"}
    with pytest.raises(InvalidAnswers, match="sunburns"):
        ASKED.parse({"shoe_size": 43, "sunburns": "often"}, ignore_unknown=True)
