"""Age, sex and the risk factors as log-odds, against the evidence table's own numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulation_people import AGES
from fusion import person, questionnaire
from fusion.questionnaire import Answers

ASKED = questionnaire.load()
IDS = [question.id for question in ASKED.questions if question.evidence]
CLUSTER = {question.id: question.evidence.cluster for question in ASKED.questions if question.evidence}
CHOICES = {q.id: [c for c in q.choices if c != "unsure"] for q in ASKED.questions if q.evidence}

answers = st.fixed_dictionaries({name: st.sampled_from([*CHOICES[name], None]) for name in IDS})


def risk(asked: str, answer: str | None) -> float:
    """What orders the answers of one question; none is in the middle."""
    evidence = next(q.evidence for q in ASKED.questions if q.id == asked)
    return evidence.relative_risks.get(answer, 1.0) / evidence.mean if answer else 1.0


def weigh(**answered: str | None) -> person.PersonEvidence:
    return person.evaluate(Answers.model_validate({"factors": {k: v for k, v in answered.items() if v}}), ASKED)


def worth(**answered: str | None) -> float:
    found = weigh(**answered)
    return found.person + found.cap


@pytest.mark.parametrize(
    ("asked", "yes", "no"),
    [
        ("prior_melanoma", 7.78, 0.90),
        ("prior_skin_cancer", 2.09, 0.94),
        ("family_skin_cancer", 1.68, 0.96),
        ("fair_skin", 1.40, 0.68),
        ("sunburns", 1.24, 0.83),
        ("parkinsons", 1.81, 0.99),
        ("weak_immune_system", 1.94, 0.97),
    ],
)
def test_centred_ratios_are_those_of_the_table(asked: str, yes: float, no: float) -> None:
    assert weigh(**{asked: "yes"}).factors[0].likelihood_ratio == pytest.approx(yes, abs=0.006)
    assert weigh(**{asked: "no"}).factors[0].likelihood_ratio == pytest.approx(no, abs=0.006)


@pytest.mark.parametrize(
    ("asked", "shrunk"),
    [
        ("prior_melanoma", 2.79),
        ("prior_skin_cancer", 1.45),
        ("family_skin_cancer", 1.30),
        ("fair_skin", 1.18),
        ("sunburns", 1.12),
        ("parkinsons", 1.35),
        ("weak_immune_system", 1.39),
    ],
)
def test_shrunk_by_half_as_in_the_table(asked: str, shrunk: float) -> None:
    """And divided by what the highest of its cluster is on average, or the average person would be raised."""
    mean = ASKED.cluster_means[CLUSTER[asked]]
    assert weigh(**{asked: "yes"}).likelihood_ratio == pytest.approx(max(1, shrunk / math.sqrt(mean)), abs=0.01)


@pytest.mark.parametrize("asked", IDS)
def test_centred_on_the_population(asked: str) -> None:
    """Asking everybody changes nobody's average risk."""
    evidence = next(question.evidence for question in ASKED.questions if question.id == asked)
    ratios = {answer: weigh(**{asked: answer}).factors[0].likelihood_ratio for answer in CHOICES[asked]}
    shares = {answer: evidence.prevalences.get(answer, 0.0) for answer in ratios}
    reference = next(answer for answer, share in shares.items() if share == 0)
    shares[reference] = 1 - sum(shares.values())
    assert sum(ratios[answer] * shares[answer] for answer in ratios) == pytest.approx(1)


@pytest.mark.parametrize("cluster", sorted(set(CLUSTER.values())))
def test_a_clusters_mean_is_that_of_people_who_answer_all_of_it(cluster: str) -> None:
    """Drawn, not multiplied out as in the code."""
    rng = np.random.default_rng(0)
    highest = np.zeros(20_000)
    for question in ASKED.questions:
        known = question.evidence
        if known is not None and known.cluster == cluster and known.asks_like is None:
            shares = [*known.prevalences.values(), 1 - sum(known.prevalences.values())]
            ratios = np.array([*(known.relative_risks[answer] for answer in known.prevalences), 1.0]) / known.mean
            highest = np.maximum(highest, rng.choice(ratios, len(highest), p=shares))
    assert ASKED.cluster_means[cluster] == pytest.approx(highest.mean(), rel=0.03)


def test_asking_age_and_sex_keeps_the_average_risk_of_adults() -> None:
    ages = np.array([age for age, _ in AGES])
    weights = np.array([share for _, share in AGES]) / sum(share for _, share in AGES)
    ratios = [np.exp([person.age_sex_log_odds(int(age), sex) for age in ages]) @ weights for sex in ("female", "male")]
    assert np.mean(ratios) == pytest.approx(1, abs=0.002)


def test_overlapping_factors_count_once() -> None:
    one, both = worth(prior_melanoma="yes"), worth(prior_melanoma="yes", prior_skin_cancer="yes")
    assert one == both
    assert worth(parkinsons="yes", weak_immune_system="yes") == worth(weak_immune_system="yes")
    assert len(set(CLUSTER.values())) == 6


def test_a_no_is_not_held_against_what_is_unknown_beside_it() -> None:
    assert worth(prior_melanoma="no") == 0
    assert worth(prior_melanoma="no", prior_skin_cancer="no") < 0
    assert worth(fair_skin="no") == 0
    dark = {"fair_skin": "no", "skin_type": "V", "hair_colour": "dark", "freckles": "no"}
    assert worth(**dark) == pytest.approx(0.5 * math.log(1 / 1.2960), abs=0.02)  # the largest of the four ratios


@given(answers, st.sampled_from(IDS), st.data())
def test_a_worse_answer_never_lowers_the_risk(answered: dict[str, str | None], asked: str, data: st.DataObject) -> None:
    other = data.draw(st.sampled_from([*CHOICES[asked], None]))
    better, worse = sorted((answered[asked], other), key=lambda answer: risk(asked, answer))
    after, before = worth(**{**answered, asked: worse}), worth(**{**answered, asked: better})
    assert after >= before - 1e-12  # the last bit, at the cap


@given(answers)
def test_answers_together_stay_within_the_cap(answered: dict[str, str | None]) -> None:
    found = weigh(**answered)
    assert 0.8 - 1e-12 <= found.likelihood_ratio <= 4 + 1e-12
    assert found.cap == 0 or found.likelihood_ratio == pytest.approx(4) or found.likelihood_ratio == pytest.approx(0.8)
    assert {factor.id for factor in found.factors} == {name for name, answer in answered.items() if answer}


def test_the_worst_answers_would_be_far_more_without_shrinkage_and_cap() -> None:
    worst = {name: max(CHOICES[name], key=lambda answer: risk(name, answer)) for name in IDS}
    found = weigh(**worst)
    assert found.likelihood_ratio == pytest.approx(4)
    assert math.exp(found.person) > 4.5
    assert math.prod(factor.likelihood_ratio for factor in found.factors) > 100


def test_no_answers_at_all_are_worth_nothing() -> None:
    assert weigh() == person.PersonEvidence(0.0, 0.0, 0.0, ())


@pytest.mark.parametrize(
    ("age", "sex", "rate"),
    [
        (20, "male", 2.8),
        (24, "female", 6.8),
        (47, None, 28.0),
        (49, "male", 27.6),
        (50, "male", 38.1),
        (52, "female", 32.5),
        (72, "male", 128.0),
        (84, "female", 61.3),
        (85, "male", 194.6),
        (120, None, 103.0),
        (None, "male", 34.9),
        (None, "female", 22.8),
        (0, None, 4.7),
        (19, "female", 6.8),
    ],
)
def test_age_and_sex_are_half_the_log_of_incidence_over_its_mean(age: int | None, sex: str | None, rate: float) -> None:
    mean = 28.85 if age is None else 35.18
    assert person.age_sex_log_odds(age, sex) == pytest.approx(0.5 * math.log(rate / mean), abs=1e-9)


def test_unknown_age_and_sex_are_neutral() -> None:
    assert person.age_sex_log_odds(None, None) == 0


@given(st.integers(20, 75), st.sampled_from(["female", "male", None]))
def test_age_matters(age: int, sex: str | None) -> None:
    """Seed mistake 1: age was asked for and dropped."""
    assert person.age_sex_log_odds(age + 10, sex) > person.age_sex_log_odds(age, sex)


def test_sex_matters_and_turns_round_with_age() -> None:
    assert person.age_sex_log_odds(30, "female") > person.age_sex_log_odds(30, "male")
    assert person.age_sex_log_odds(70, "male") > person.age_sex_log_odds(70, "female")
