"""The weight of the signs that a person reports, in log-odds: never negative, and bounded.

A lay person's "no" weighs little: lay people cannot apply the checklists reliably, and a third of melanomas are under
6 mm (docs/evidence.md, section 5). So "no" counts as no answer. Together the signs weigh no more than a
positive weighted 7-point checklist: 1.97 times (Walter 2013).
"""

import math
from dataclasses import dataclass

from fusion.person import Factor
from fusion.questionnaire import Answers, Questionnaire

CAP = math.log(1.97)
CLUSTER = "lesion"


@dataclass(frozen=True)
class LesionEvidence:
    """Log-odds of all signs together, and each answered question with its likelihood ratio."""

    log_odds: float
    factors: tuple[Factor, ...]


def evaluate(answers: Answers, questionnaire: Questionnaire) -> LesionEvidence:
    """Weigh the signs."""
    factors = []
    for question in questionnaire.questions:
        answer = answers.factors.get(question.id)
        if question.sign is not None and answer is not None:
            ratio = question.sign.likelihood_ratios.get(answer, 1.0)
            factors.append(Factor(question.id, answer, CLUSTER, ratio, question.source, raises=ratio > 1))
    return LesionEvidence(min(sum(math.log(factor.likelihood_ratio) for factor in factors), CAP), tuple(factors))
