"""The decision: evidence in, a probability with an interval, a level and its reasons out. Pure."""

import math
from dataclasses import dataclass

from fusion import person, picture, policy, wording
from fusion.picture import ImageEvidence, Modality, logit
from fusion.policy import Level
from fusion.questionnaire import Answers, Questionnaire

Z90 = 1.6448536269514722
MALIGNANT_PER_MELANOMA = 2.0
"""Judgement: among lesions shown, as many other skin cancers as melanomas. No source gives the figure."""
SD_PRIOR = 0.35
"""Log-odds deviation of the setting's prior: published clinic figures run from 1.6 to 2.5 % and beyond."""
SD_FACTORS = 0.15 * math.sqrt(8)
"""After shrinking: the published intervals of the eight relative risks are about .15 wide, and so is what an unanswered
question leaves open. Hence the same for all, and silence never makes the answer look surer."""


@dataclass(frozen=True)
class Case:
    """All that is known of one lesion of one person. None: that model did not answer."""

    answers: Answers
    modality: Modality = "photograph"
    classifier: ImageEvidence | None = None
    vlm: ImageEvidence | None = None
    picture_poor: bool = False
    out_of_distribution: bool = False


@dataclass(frozen=True)
class Decision:
    """What the rules decided. `contributions` sum to the log-odds of `melanoma`."""

    level: Level
    melanoma: float
    malignant: float
    interval: tuple[float, float]
    raised_by: tuple[str, ...]
    contributions: dict[str, float]
    person: person.PersonEvidence
    reasons: tuple[str, ...]
    headline: str
    advice: str
    explanation: str
    questions_for_doctor: tuple[str, ...]


def sigmoid(x: float) -> float:
    """Probability of a log-odds; no overflow at either end."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def decide(case: Case, questionnaire: Questionnaire, prior: float) -> Decision:
    """Weigh everything (EVIDENCE 3.6) and say it in plain words."""
    who = person.evaluate(case.answers, questionnaire)
    seen = picture.evaluate(case.classifier, case.vlm, case.modality)
    contributions = {
        "prior": logit(prior),
        "age_sex": who.age_sex,
        "person": who.person,
        "cap": who.cap,
        "lesion": 0.0,
        "picture": seen.melanoma,
    }
    log_odds = sum(contributions.values())
    sd = math.hypot(SD_PRIOR, SD_FACTORS, seen.sd)
    melanoma = sigmoid(log_odds)
    of_person = who.age_sex + who.person + who.cap
    malignant_prior = logit(min(prior * MALIGNANT_PER_MELANOMA, 0.9))
    malignant = max(melanoma, sigmoid(malignant_prior + of_person + seen.malignant))
    interval = (sigmoid(log_odds - Z90 * sd), sigmoid(log_odds + Z90 * sd))
    level, raised_by = policy.raise_to_floors(
        policy.by_probability(melanoma, malignant),
        prior_melanoma=case.answers.factors.get("prior_melanoma") == "yes",
        classifier_ok=case.classifier is not None,
        picture_poor=case.picture_poor,
        out_of_distribution=case.out_of_distribution,
    )
    judged = case.classifier is not None or case.vlm is not None
    told = wording.reasons(seen, who.age_sex, who.factors, raised_by, judged=judged)
    return Decision(
        level=level,
        melanoma=melanoma,
        malignant=malignant,
        interval=interval,
        raised_by=raised_by,
        contributions=contributions,
        person=who,
        reasons=told,
        headline=wording.HEADLINES[level],
        advice=wording.ADVICE[level],
        explanation=wording.explanation(melanoma, interval, malignant, told),
        questions_for_doctor=wording.QUESTIONS[level],
    )
