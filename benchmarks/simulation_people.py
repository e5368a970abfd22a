"""People drawn from the published prevalences in questionnaire.json, and pictures from the held-out fold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import seen
from fusion.picture import ImageEvidence
from fusion.questionnaire import UNSURE, Questionnaire, QuestionnaireItem
from models.classifier.calibration import class_scores, out_of_fold
from models.classifier.data.labels import MALIGNANT, MELANOMA
from models.classifier.serving.artifact import RELEASED, ClassifierArtifact

AGES = (
    (20, 6000), (25, 6000), (30, 6500), (35, 7000), (40, 7000), (45, 7000), (50, 7000), (55, 6500), (60, 6000),
    (65, 5500), (70, 5000), (75, 4000), (80, 2500), (85, 1500), (90, 1000),
)  # fmt: skip
"""First year of a five-year band and people in it: adults of the European Standard Population 2013 (Eurostat)."""
SEXES = ("female", "male")
FOLLOWS: dict[str, tuple[str, dict[str, str]]] = {
    "fair_skin": ("skin_type", {"I": "yes", "II": "yes"}),
    "many_moles": ("trunk_moles", {"more_than_7": "yes"}),
    "family_skin_cancer": ("family_cancer", {"close_melanoma": "yes"}),
}
"""Questions that ask nearly the same: the first is answered as the second implies, else `no`. Drawn each on its own,
overlapping answers would contradict one another, and the worst of each cluster would be far too common."""
Person = dict[str, str | int]


def people(asked: Questionnaire, n: int, rng: np.random.Generator) -> list[Person]:
    """Every question with evidence answered; but for FOLLOWS each on its own: how answers go together is not known."""
    weights = np.array([weight for _, weight in AGES], float)
    bands = rng.choice([age for age, _ in AGES], n, p=weights / weights.sum())
    columns: dict[str, list[Any]] = {
        "age": (bands + rng.integers(0, 5, n)).tolist(),
        "sex": rng.choice(SEXES, n).tolist(),
    }
    for question in asked.questions:
        if question.evidence is not None:
            columns[question.id] = _drawn(question, n, rng)
    for name, (leader, implied) in FOLLOWS.items():
        columns[name] = [implied.get(answer, "no") for answer in columns[leader]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _drawn(question: QuestionnaireItem, n: int, rng: np.random.Generator) -> list[str]:
    known = question.evidence
    if known is None:
        raise ValueError(f"{question.id} has no evidence to draw from")
    shares = dict(known.prevalences)
    rest = [choice for choice in question.choices if choice != UNSURE and choice not in shares]
    shares |= dict.fromkeys(rest, (1 - sum(shares.values())) / len(rest))
    drawn: list[str] = rng.choice(list(shares), n, p=list(shares.values())).tolist()
    return drawn


@dataclass(frozen=True)
class Pictures:
    """Calibrated probabilities of the classifier for pictures that it has not learned from, by kind."""

    kinds: Mapping[str, NDArray[np.float64]]
    """[N, 2]: melanoma and malignant."""
    artifact: ClassifierArtifact

    def draw(self, kind: str, rng: np.random.Generator) -> ImageEvidence:
        """One picture of this kind."""
        melanoma, malignant = self.kinds[kind][rng.integers(len(self.kinds[kind]))]
        return seen.evidence(self.artifact, float(melanoma), float(malignant))

    def average(self) -> ImageEvidence:
        """A picture that says nothing either way."""
        fold = self.artifact.manifest.calibration
        return seen.evidence(self.artifact, fold.prevalence, fold.malignant_prevalence)


def pictures() -> Pictures:
    """From the released classifier's out_of_fold.csv."""
    artifact = ClassifierArtifact.load(RELEASED)
    kept = out_of_fold.read(RELEASED / out_of_fold.FILE)
    told = json.loads((RELEASED / "manifest.json").read_text())["calibration"]
    fitted = class_scores.ScoreCalibration(told["temperature"], tuple(told["bias"]), told["slope"], told["offset"])
    scores = fitted.apply(kept.scores)
    classes = np.exp(scores - scores.max(1, keepdims=True))
    classes /= classes.sum(1, keepdims=True)
    p = np.stack([classes[:, MELANOMA], classes[:, list(MALIGNANT)].sum(1)], axis=1)
    labels = np.array([row.label for row in kept.rows])
    malignant = np.isin(labels, MALIGNANT)
    kinds = {
        "benign": p[~malignant],
        "melanoma": p[labels == MELANOMA],
        "other skin cancer": p[malignant & (labels != MELANOMA)],
        "not melanoma": p[labels != MELANOMA],
    }
    return Pictures(kinds, artifact)
