"""The whole decision, as properties: what must hold for every person and every picture."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import picture, policy, questionnaire, rules
from fusion.picture import ImageEvidence, logit
from fusion.policy import LEVELS
from fusion.questionnaire import Answers, QuestionnaireItem
from fusion.rules import Case, Decision
from fusion.stack import Stack


def _weight(question: QuestionnaireItem, answer: str) -> float:
    if question.evidence:
        return question.evidence.relative_risks.get(answer, 1.0) / question.evidence.mean
    return question.sign.likelihood_ratios.get(answer, 1.0) + (0 if answer == "no" else 1e-9) if question.sign else 1.0


ASKED = questionnaire.load()
WEIGHTS: dict[str, dict[str, float]] = {
    q.id: {c: _weight(q, c) for c in q.choices if c != "unsure"} for q in ASKED.questions if q.evidence or q.sign
}
PRIOR = 0.025
ROUNDING = 1e-12
"""The cap is stated as what it takes back, so at the cap the sum may differ in its last bit."""

probability = st.floats(0, 1)
evidence = st.builds(
    ImageEvidence,
    melanoma=probability,
    prevalence=st.floats(0.01, 0.6),
    malignant=st.none() | probability,
    malignant_prevalence=st.none() | st.floats(0.01, 0.6),
    logit_sd=st.none() | st.floats(0, 5),
    threshold_95=st.none() | probability,
    specificity_95=st.none() | probability,
    malignant_threshold=st.none() | probability,
    malignant_specificity=st.none() | probability,
)
factors = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(list(weights)) for name, weights in WEIGHTS.items()}
)
stacks = st.none() | st.builds(
    Stack,
    schema_version=st.just(1),
    classifier_sha256=st.just("a"),
    vlm_sha256=st.just("b"),
    intercept=st.floats(-1, 1),
    classifier=st.floats(0, 2),
    vlm=st.floats(0, 2),
    sd=st.floats(0, 2),
    prevalence=st.just(0.1),
    fitted_on=st.just("a test"),
    n=st.just(1),
)
people = st.builds(
    Answers, age=st.none() | st.integers(0, 120), sex=st.sampled_from(["female", "male", None]), factors=factors
)
cases = st.builds(
    Case,
    answers=people,
    modality=st.sampled_from(["dermoscopy", "photograph"]),
    classifier=st.none() | evidence,
    vlm=st.none() | evidence,
    picture_poor=st.booleans(),
    out_of_distribution=st.booleans(),
    modality_doubted=st.booleans(),
    stack=stacks,
)
priors = st.floats(0.001, 0.499)


def decide(case: Case, prior: float = PRIOR) -> Decision:
    return rules.decide(case, ASKED, prior)


def but(case: Case, **changes: object) -> Case:
    return Case(**{**vars(case), **changes})  # type: ignore[arg-type]


def width(decision: Decision) -> float:
    low, high = decision.interval
    return logit(high) - logit(low)


@given(cases, priors)
def test_contributions_sum_to_the_log_odds(case: Case, prior: float) -> None:
    found = decide(case, prior)
    assert set(found.contributions) == {"prior", "age_sex", "person", "lesion", "picture", "cap"}
    assert math.log(found.melanoma / (1 - found.melanoma)) == pytest.approx(sum(found.contributions.values()), abs=1e-6)
    assert found.contributions["prior"] == pytest.approx(math.log(prior / (1 - prior)))


@given(cases, priors)
def test_numbers_agree_with_each_other(case: Case, prior: float) -> None:
    found = decide(case, prior)
    low, high = found.interval
    assert 0 < low <= found.melanoma <= high < 1
    assert found.melanoma <= found.malignant < 1


@given(cases)
def test_low_is_never_said_where_it_must_not_be(case: Case) -> None:
    found = decide(case)
    signs = {"prior_melanoma", "bleeding", "rapid_growth"}
    if any(case.answers.factors.get(sign) == "yes" for sign in signs):
        assert found.level != "low"
    if case.classifier is None or case.picture_poor or case.out_of_distribution or case.modality_doubted:
        assert found.level != "low"
    if found.level == "low":
        assert found.melanoma < 0.01
        assert found.malignant < 0.03
        assert found.raised_by == ()


@given(cases)
def test_a_level_is_what_the_numbers_say_or_what_a_floor_raised_it_to(case: Case) -> None:
    found = decide(case)
    by_numbers = policy.by_probability(found.melanoma, found.malignant)
    assert bool(found.raised_by) == (found.level != by_numbers)
    assert found.level == policy.raise_to_floors(by_numbers, rules.floors(case))[0]


@given(cases, st.sampled_from(sorted(WEIGHTS)), st.data())
def test_a_worse_answer_never_lowers_anything(case: Case, asked: str, data: st.DataObject) -> None:
    """And `unsure` is between: worth no less than the best answer, and no more than the worst."""
    order = WEIGHTS[asked] | {"unsure": 1.0}
    two = data.draw(st.lists(st.sampled_from(sorted(order)), min_size=2, max_size=2))
    better, worse = sorted(two, key=order.__getitem__)
    before, after = (decide(but(case, answers=answering(case, asked, answer))) for answer in (better, worse))
    assert after.melanoma >= before.melanoma - ROUNDING
    assert after.malignant >= before.malignant - ROUNDING
    assert LEVELS.index(after.level) >= LEVELS.index(before.level)


def answering(case: Case, asked: str, answer: str) -> Answers:
    factors = {name: answer for name, answer in case.answers.factors.items() if name != asked}
    return case.answers.model_copy(update={"factors": factors | ({} if answer == "unsure" else {asked: answer})})


@given(cases, probability, probability)
def test_a_more_suspicious_picture_never_lowers_the_level(case: Case, p: float, q: float) -> None:
    below, above = (
        decide(but(case, classifier=ImageEvidence(x, 0.11, malignant=x, malignant_prevalence=0.2)))
        for x in sorted((p, q))
    )
    assert below.melanoma <= above.melanoma
    assert LEVELS.index(below.level) <= LEVELS.index(above.level)


@given(cases, priors, priors)
def test_a_higher_prior_never_lowers_the_level(case: Case, a: float, b: float) -> None:
    below, above = decide(case, min(a, b)), decide(case, max(a, b))
    assert below.melanoma <= above.melanoma
    assert LEVELS.index(below.level) <= LEVELS.index(above.level)


@given(cases)
def test_losing_a_part_never_narrows_the_interval(case: Case) -> None:
    whole = width(decide(case))
    without = [but(case, classifier=None), but(case, vlm=None), but(case, classifier=None, vlm=None)]
    silent = but(case, answers=Answers(age=case.answers.age, sex=case.answers.sex))
    for less in [*without, silent]:
        assert width(decide(less)) >= whole - 1e-6


@given(cases)
def test_a_photograph_never_lowers_what_is_known_without_it(case: Case) -> None:
    photo = decide(but(case, modality="photograph"))
    nothing = decide(but(case, classifier=None, vlm=None))
    assert photo.melanoma >= nothing.melanoma
    assert photo.malignant >= nothing.malignant


def test_interval_is_ninety_percent_of_what_is_uncertain() -> None:
    found = decide(Case(Answers(), "dermoscopy", ImageEvidence(0.1, 0.1, logit_sd=0.5)))
    deviation = math.sqrt(rules.SD_PRIOR**2 + rules.SD_FACTORS**2 + 0.5**2 + picture.SD_ALONE**2)
    assert width(found) == pytest.approx(2 * 1.6449 * deviation, abs=1e-3)


def test_without_any_evidence_the_risk_is_the_prior() -> None:
    found = decide(Case(Answers(), classifier=None))
    assert found.melanoma == pytest.approx(PRIOR)
    assert found.malignant == pytest.approx(2 * PRIOR)
    assert found.level == "moderate"


@given(people, priors)
def test_the_person_counts_for_every_skin_cancer(person: Answers, prior: float) -> None:
    found = decide(Case(person), prior)
    of_person = sum(found.contributions[part] for part in ("age_sex", "person", "cap", "lesion"))
    assert found.malignant == pytest.approx(max(rules.sigmoid(logit(min(2 * prior, 0.9)) + of_person), found.melanoma))


def test_age_reaches_the_risk() -> None:
    """Seed mistake 1."""
    seen = ImageEvidence(0.11, 0.11, malignant=0.2, malignant_prevalence=0.2, logit_sd=0.4)
    young, old = (decide(Case(Answers(age=age), "dermoscopy", seen)) for age in (22, 82))
    assert old.melanoma / young.melanoma > 4
    assert (young.level, old.level) == ("low", "high")
    assert young.contributions["age_sex"] < 0 < old.contributions["age_sex"]


def test_a_clear_picture_of_a_young_person_is_low_and_the_floors_lift_it() -> None:
    seen = ImageEvidence(0.01, 0.11, malignant=0.02, malignant_prevalence=0.2, logit_sd=0.4)
    case = Case(Answers(age=25, sex="male"), "dermoscopy", seen)
    assert decide(case).level == "low"
    assert decide(but(case, picture_poor=True)).raised_by == ("poor_picture",)
    assert decide(but(case, out_of_distribution=True)).raised_by == ("out_of_distribution",)
    strange = decide(but(case, out_of_distribution=True), 0.1)  # the picture no longer lowers, so the numbers say so
    assert (strange.level, strange.raised_by) == ("high", ())
    assert "picture.out_of_distribution" in {reason.id for reason in strange.reasons}
    before = Answers(age=25, sex="male", factors={"prior_melanoma": "yes"})
    assert decide(but(case, answers=before)).raised_by == ("prior_melanoma",)
    photo = decide(but(case, modality="photograph"))  # it says nothing for him: what is left is his age
    assert photo.contributions["picture"] == 0
    assert photo.melanoma > 5 * decide(case).melanoma
    assert decide(but(case, modality="photograph", answers=Answers(age=45))).level == "moderate"


@pytest.mark.parametrize("x", [-1e308, -800.0, 0.0, 800.0, 1e308])
def test_sigmoid_does_not_overflow(x: float) -> None:
    assert 0 <= rules.sigmoid(x) <= 1
