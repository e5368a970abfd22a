"""From messages to a decision and back: what counts as evidence, and what the answer says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.questionnaire import InvalidAnswers
from services.contracts import (
    ClassifyResponse,
    FuseRequest,
    FuseResponse,
    FusionInfo,
    PictureFinding,
    Status,
    VerdictResponse,
)
from services.risk import decide
from services.risk.decide import Rules

PRIOR = 0.025
SEEN = ClassifyResponse(
    melanoma=0.4,
    malignant=0.5,
    classes={"mel": 0.4, "bcc": 0.1, "nv": 0.5},
    prevalence=0.11,
    malignant_prevalence=0.2,
    logit_sd=0.4,
    picture=PictureFinding(),
)
SAID = VerdictResponse(melanoma=0.4, prevalence=0.11, logit_sd=0.4, p_yes=0.9, answer="Yes", answer_mass=0.9)
NOTHING = FuseRequest()


def risk(request: FuseRequest) -> float:
    return decide.decide(request, Rules(PRIOR)).melanoma


def answer(request: FuseRequest, explanation: str | None = None) -> FuseResponse:
    return decide.respond(decide.decide(request, Rules(PRIOR)), explanation, FusionInfo(engine="rules"))


@pytest.mark.parametrize("status", ["unavailable", "timeout", "invalid"])
def test_a_finding_that_is_not_ok_does_not_count(status: Status) -> None:
    """Even when it carries numbers, as a half-finished answer might."""
    for part in (
        {"classifier": SEEN.model_copy(update={"status": status})},
        {"vlm": SAID.model_copy(update={"status": status})},
    ):
        assert risk(FuseRequest.model_validate(part)) == risk(NOTHING)
    failed = FuseRequest(classifier=SEEN.model_copy(update={"status": status}))
    assert decide.decide(failed, Rules(PRIOR)).level != "low"


def test_findings_count() -> None:
    assert risk(FuseRequest(classifier=SEEN)) > risk(NOTHING)
    assert risk(FuseRequest(vlm=SAID, modality="dermoscopy")) > risk(FuseRequest(modality="dermoscopy"))


def test_a_picture_unlike_all_others_is_never_low() -> None:
    clear = SEEN.model_copy(update={"melanoma": 0.005, "malignant": 0.01})
    request = FuseRequest(answers={"age": 25}, modality="dermoscopy", classifier=clear)
    assert decide.decide(request, Rules(PRIOR)).level == "low"
    for known, level in ((True, "low"), (None, "low"), (False, "moderate")):
        seen = clear.model_copy(update={"in_distribution": known})
        assert decide.decide(request.model_copy(update={"classifier": seen}), Rules(PRIOR)).level == level


def test_a_vlm_alone_says_nothing_about_a_photograph() -> None:
    """The released one was measured there at worse than chance."""
    assert risk(FuseRequest(vlm=SAID, modality="photograph")) == risk(NOTHING)


@pytest.mark.parametrize("missing", ["melanoma", "prevalence"])
def test_an_uncalibrated_value_does_not_count(missing: str) -> None:
    """Seed mistake 3: raw Yes and No probabilities are no risk."""
    uncalibrated = FuseRequest(vlm=SAID.model_copy(update={missing: None}), modality="dermoscopy")
    assert risk(uncalibrated) == risk(FuseRequest(modality="dermoscopy"))
    assert risk(FuseRequest(classifier=SEEN.model_copy(update={missing: None}))) == risk(NOTHING)


def test_everything_reaches_the_rules() -> None:
    request = FuseRequest(
        answers={"age": 70, "sex": "male", "fair_skin": "yes", "sunburns": "unsure"},
        modality="dermoscopy",
        classifier=SEEN,
        vlm=SAID,
        picture=PictureFinding(quality="poor"),
    )
    found = answer(request)
    contributions = {part.id: part.log_odds for part in found.risk.contributions}
    assert contributions["age_sex"] > 0
    assert contributions["person"] > 0
    assert contributions["picture"] > 1
    assert [factor.id for factor in found.questionnaire.factors] == ["fair_skin"]
    assert found.questionnaire.factors[0].source
    assert found.questionnaire.likelihood_ratio == pytest.approx(1.047, abs=0.001)  # shrunk, within its cluster
    clear = SEEN.model_copy(update={"melanoma": 0.001, "malignant": 0.001})
    lifted = request.model_copy(update={"classifier": clear, "answers": {"age": 25}})
    assert answer(lifted).risk.raised_by == ("poor_picture",)


def test_modality_reaches_the_rules() -> None:
    photo = FuseRequest(classifier=SEEN, modality="photograph")
    assert risk(NOTHING) < risk(photo) < risk(photo.model_copy(update={"modality": "dermoscopy"}))


def test_an_explanation_replaces_words_and_no_number() -> None:
    request = FuseRequest(classifier=SEEN)
    own, written = answer(request), answer(request, "In other words.")
    assert written.risk.explanation == "In other words."
    assert written.risk.model_copy(update={"explanation": own.risk.explanation}) == own.risk
    assert answer(request, "").risk.explanation == own.risk.explanation


def test_another_versions_question_is_ignored_and_a_wrong_answer_is_not() -> None:
    assert risk(FuseRequest(answers={"shoe_size": 43})) == risk(NOTHING)
    with pytest.raises(InvalidAnswers, match="sunburns"):
        decide.decide(FuseRequest(answers={"sunburns": "often"}), Rules(PRIOR))


optional_probability = st.none() | st.floats(0, 1)
optional_prevalence = st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True)
deviation = st.none() | st.floats(0, allow_infinity=False)
answers = st.fixed_dictionaries(
    {},
    optional={
        "age": st.integers(0, 120),
        "sex": st.sampled_from(["female", "male", "unsure"]),
        "prior_melanoma": st.sampled_from(["yes", "no", "unsure"]),
        "fair_skin": st.sampled_from(["yes", "no", "unsure"]),
    },
)
requests = st.builds(
    FuseRequest,
    answers=answers,
    modality=st.sampled_from(["dermoscopy", "photograph"]),
    classifier=st.builds(
        ClassifyResponse,
        melanoma=optional_probability,
        malignant=optional_probability,
        prevalence=optional_prevalence,
        malignant_prevalence=optional_prevalence,
        logit_sd=deviation,
        classes=st.none(),
    ),
    vlm=st.builds(VerdictResponse, melanoma=optional_probability, prevalence=optional_prevalence, logit_sd=deviation),
)


@given(requests, st.floats(1e-9, 0.499))
def test_any_message_of_the_contract_has_an_answer_of_the_contract(request: FuseRequest, prior: float) -> None:
    found = decide.respond(decide.decide(request, Rules(prior)), None, FusionInfo(engine="rules"))
    assert FuseResponse.model_validate_json(found.model_dump_json()).risk.level == found.risk.level
