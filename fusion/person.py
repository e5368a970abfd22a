"""The weight of the person in log-odds: age and sex, and the risk factors.

Relative risks are given against the lowest-risk group, so each is divided by its population mean. Factors that overlap
share a cluster and count once, by their maximum, divided by the mean of that maximum. The sum is shrunk
and capped, because the plain product of the first eight is 951. Derived in docs/evidence.md, sections 4.2 to 4.4.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fusion.questionnaire import Answers, Questionnaire

SHRINK_AGE = 0.5
"""Judgement: incidence is per person-year, and older people also show more harmless lesions."""
SHRINK_FACTORS = 0.5
"""Judgement within .3 to .6 (docs/evidence.md, section 4.3)."""
CAP_UP, CAP_DOWN = math.log(4), math.log(0.8)
"""docs/evidence.md, section 4.3: answers that are all "no" lower a risk only a little."""


@dataclass(frozen=True)
class Factor:
    """One answered question and its centred, unshrunk likelihood ratio; whether it can raise a risk at all."""

    id: str
    answer: str
    cluster: str
    likelihood_ratio: float
    source: str
    raises: bool = False


@dataclass(frozen=True)
class PersonEvidence:
    """Log-odds of age and sex, of the answers before the cap, and the correction by the cap."""

    age_sex: float
    person: float
    cap: float
    factors: tuple[Factor, ...]

    @property
    def likelihood_ratio(self) -> float:
        """Likelihood ratio of the answers together, after the cap, without age and sex."""
        return math.exp(self.person + self.cap)


@cache
def _incidence() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files("fusion").joinpath("incidence.json").read_text())
    return table


def age_sex_log_odds(age: int | None, sex: str | None) -> float:
    """Half the log of incidence at this age and sex over the mean; 0 when both are unevidence.

    Under 20 counts as 20 to 24: there is no figure, and a child's lesion must not count as safe.
    """
    table = _incidence()
    if age is None:
        mean = table["all_ages_mean"]
        return SHRINK_AGE * math.log(table["all_ages"].get(sex, mean) / mean)
    bands = table["bands"]
    band = next((band for band in reversed(bands) if age >= band["from"]), bands[0])
    return SHRINK_AGE * math.log(band[sex or "all"] / table["mean"])


def evaluate(answers: Answers, questionnaire: Questionnaire) -> PersonEvidence:
    """Weigh the answers. An unanswered question has a ratio of 1, also in its cluster; else "no" could raise a risk."""
    factors, means = [], questionnaire.cluster_means
    clusters: dict[str, float] = {}
    for question in questionnaire.questions:
        answer, evidence = answers.factors.get(question.id), question.evidence
        if evidence is None:
            continue
        ratio = 1.0
        if answer is not None:
            ratio = evidence.relative_risks.get(answer, 1.0) / evidence.mean
            raises = ratio > means[evidence.cluster]
            factors.append(Factor(question.id, answer, evidence.cluster, ratio, question.source, raises))
        clusters[evidence.cluster] = max(clusters.get(evidence.cluster, 0.0), ratio)
    clusters = {name: max(1.0, ratio / means[name]) if ratio > 1 else ratio for name, ratio in clusters.items()}
    person = SHRINK_FACTORS * sum(math.log(ratio) for ratio in clusters.values())
    capped = min(max(person, CAP_DOWN), CAP_UP)
    return PersonEvidence(age_sex_log_odds(answers.age, answers.sex), person, capped - person, tuple(factors))
