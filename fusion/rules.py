"""The decision: from answers and findings to a probability with its interval, a level and reasons. Pure."""

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
unanswered question leaves open. Hence the same for all: a missing answer never narrows the interval."""


@dataclass(frozen=True)
class Case:
    """The input for one lesion of one person. None: that model did not answer. stack: fitted for this pair.

    modality_doubted: sent as dermoscopy, but the classifier reads a photograph.
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
        """Likelihood ratio of all answers together, without age and sex."""
        return self.person.likelihood_ratio * math.exp(self.lesion.log_odds)


def sigmoid(x: float) -> float:
    """Probability of a log-odds; no overflow at either end."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def decide(case: Case, questionnaire: Questionnaire, prior: float, thresholds: Thresholds = DEFAULT) -> Decision:
    """Weigh everything (docs/evidence.md, section 1) and put it into plain words."""
    of_person = person.evaluate(case.answers, questionnaire)
    of_lesion = lesion.evaluate(case.answers, questionnaire)
    of_image = picture.evaluate(
        case.classifier,
        case.vlm,
        case.modality,
        case.stack,
        out_of_distribution=case.out_of_distribution or case.modality_doubted,
    )
    contributions = {
        "prior": logit(prior),
        "age_sex": of_person.age_sex,
        "person": of_person.person,
        "cap": of_person.cap,
        "lesion": of_lesion.log_odds,
        "picture": of_image.melanoma,
    }
    log_odds = sum(contributions.values())
    sd = math.hypot(SD_PRIOR, SD_FACTORS, of_image.sd)
    melanoma = sigmoid(log_odds)
    answers = of_person.age_sex + of_person.person + of_person.cap + of_lesion.log_odds
    malignant_prior = logit(min(prior * MALIGNANT_PER_MELANOMA, 0.9))
    malignant = max(melanoma, sigmoid(malignant_prior + answers + of_image.malignant))
    interval = (sigmoid(log_odds - Z90 * sd), sigmoid(log_odds + Z90 * sd))
    applicable = floors(case)
    level, raised_by = policy.raise_to_floors(policy.by_probability(melanoma, malignant, thresholds), applicable)
    judged = case.classifier is not None or case.vlm is not None
    reasons = wording.reasons(of_image, of_person, of_lesion, raised_by, applicable, judged=judged)
    return Decision(
        level=level,
        melanoma=melanoma,
        malignant=malignant,
        interval=interval,
        raised_by=raised_by,
        contributions=contributions,
        person=of_person,
        lesion=of_lesion,
        reasons=reasons,
        headline=wording.HEADLINES[level],
        advice=wording.ADVICE[level],
        explanation=wording.explanation(melanoma, interval, malignant, reasons),
        questions_for_doctor=wording.QUESTIONS[level],
        modality=case.modality,
        stacked=of_image.stacked,
    )


def floors(case: Case) -> set[str]:
    """Names of the floors (policy.FLOORS) that this case calls for."""
    from_answers = policy.of_answers(case.answers.factors, case.answers.age)
    classifier, vlm = case.classifier, case.vlm
    applies = {
        "no_classifier": classifier is None,
        "poor_picture": case.picture_poor,
        "out_of_distribution": case.out_of_distribution,
        "modality_doubted": case.modality_doubted,
    }
    if classifier is not None:
        applies["classifier_threshold"] = policy.above(
            classifier.melanoma, classifier.threshold_95, classifier.specificity_95
        )
        applies["other_skin_cancer"] = not applies["classifier_threshold"] and policy.above(
            classifier.malignant, classifier.malignant_threshold, classifier.malignant_specificity
        )
    if vlm is not None and case.modality == "dermoscopy":  # on photographs it does worse than chance
        applies["vlm_threshold"] = policy.above(vlm.melanoma, vlm.threshold_95, vlm.specificity_95)
    return from_answers | {name for name, holds in applies.items() if holds}
