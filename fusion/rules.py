"""The decision: evidence in, a probability with an interval, a level and its reasons out. Pure."""

import math
from dataclasses import dataclass

from fusion import lesion, person, picture, policy, wording
from fusion.picture import ImageEvidence, Modality, logit
from fusion.policy import DEFAULT, Level, Thresholds
from fusion.questionnaire import Answers, Questionnaire
from fusion.stack import Stack

Z90 = 1.6448536269514722
MALIGNANT_PER_MELANOMA = 2.0
"""Judgement: among lesions shown, as many other skin cancers as melanomas. No source gives the figure."""
SD_PRIOR = 0.35
"""Log-odds deviation of the setting's prior: published clinic figures run from 1.6 to 2.5 % and beyond."""
SD_FACTORS = 0.15 * math.sqrt(8)
"""After shrinking: the published intervals of the first eight relative risks are about .15 wide, and so is what an
unanswered question leaves open. Hence the same for all, and silence never makes the answer look surer."""


@dataclass(frozen=True)
class Case:
    """All that is known of one lesion of one person. None: that model did not answer. stack: fitted for this pair.

    modality_doubted: sent as dermoscopy, and clearly a photograph to the classifier.
    """

    answers: Answers
    modality: Modality = "photograph"
    classifier: ImageEvidence | None = None
    vlm: ImageEvidence | None = None
    picture_poor: bool = False
    out_of_distribution: bool = False
    modality_doubted: bool = False
    stack: Stack | None = None


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
    lesion: lesion.LesionEvidence
    reasons: tuple[wording.Reason, ...]
    headline: str
    advice: str
    explanation: str
    questions_for_doctor: tuple[str, ...]
    modality: Modality
    stacked: bool

    @property
    def likelihood_ratio(self) -> float:
        """What the answers are worth together, age and sex apart."""
        return self.person.likelihood_ratio * math.exp(self.lesion.log_odds)


def sigmoid(x: float) -> float:
    """Probability of a log-odds; no overflow at either end."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def decide(case: Case, questionnaire: Questionnaire, prior: float, thresholds: Thresholds = DEFAULT) -> Decision:
    """Weigh everything (docs/evidence.md, section 1) and say it in plain words."""
    who = person.evaluate(case.answers, questionnaire)
    spot = lesion.evaluate(case.answers, questionnaire)
    seen = picture.evaluate(
        case.classifier,
        case.vlm,
        case.modality,
        case.stack,
        out_of_distribution=case.out_of_distribution or case.modality_doubted,
    )
    contributions = {
        "prior": logit(prior),
        "age_sex": who.age_sex,
        "person": who.person,
        "cap": who.cap,
        "lesion": spot.log_odds,
        "picture": seen.melanoma,
    }
    log_odds = sum(contributions.values())
    sd = math.hypot(SD_PRIOR, SD_FACTORS, seen.sd)
    melanoma = sigmoid(log_odds)
    of_person = who.age_sex + who.person + who.cap + spot.log_odds
    malignant_prior = logit(min(prior * MALIGNANT_PER_MELANOMA, 0.9))
    malignant = max(melanoma, sigmoid(malignant_prior + of_person + seen.malignant))
    interval = (sigmoid(log_odds - Z90 * sd), sigmoid(log_odds + Z90 * sd))
    called = floors(case)
    level, raised_by = policy.raise_to_floors(policy.by_probability(melanoma, malignant, thresholds), called)
    judged = case.classifier is not None or case.vlm is not None
    told = wording.reasons(seen, who, spot, raised_by, called, judged=judged)
    return Decision(
        level=level,
        melanoma=melanoma,
        malignant=malignant,
        interval=interval,
        raised_by=raised_by,
        contributions=contributions,
        person=who,
        lesion=spot,
        reasons=told,
        headline=wording.HEADLINES[level],
        advice=wording.ADVICE[level],
        explanation=wording.explanation(melanoma, interval, malignant, told),
        questions_for_doctor=wording.QUESTIONS[level],
        modality=case.modality,
        stacked=seen.stacked,
    )


def floors(case: Case) -> set[str]:
    """Names of the floors (policy.FLOORS) that this case calls for."""
    found = policy.of_answers(case.answers.factors, case.answers.age)
    first, second = case.classifier, case.vlm
    applies = {
        "no_classifier": first is None,
        "poor_picture": case.picture_poor,
        "out_of_distribution": case.out_of_distribution,
        "modality_doubted": case.modality_doubted,
    }
    if first is not None:
        applies["classifier_threshold"] = policy.above(first.melanoma, first.threshold_95, first.specificity_95)
        applies["other_skin_cancer"] = not applies["classifier_threshold"] and policy.above(
            first.malignant, first.malignant_threshold, first.malignant_specificity
        )
    if second is not None and case.modality == "dermoscopy":  # on photographs it was measured at worse than chance
        applies["vlm_threshold"] = policy.above(second.melanoma, second.threshold_95, second.specificity_95)
    return found | {name for name, holds in applies.items() if holds}
