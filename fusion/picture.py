"""What the picture is worth, as log-odds: each model's calibrated logit less the logit of its prevalence.

Classifier and vision-language model see the same picture, so their ratios are never multiplied. Until a
stack is fitted for a pair of models the classifier speaks alone; the vlm speaks when the classifier cannot.
"""

import math
from dataclasses import dataclass
from typing import Literal

Modality = Literal["dermoscopy", "photograph"]

LIMIT = 4.0
"""Judgement: largest shift in log-odds one picture may cause (55 times), about what a calibration fold of a thousand
pictures can support."""
SD_UNKNOWN = 1.5
"""Judgement: log-odds deviation of a picture that the classifier could not judge; the widest there is, so that
losing a part never makes the answer look surer."""
SD_PHOTOGRAPH = 0.7
"""Judgement, added in quadrature: the models learned mostly from dermoscopy."""
PHOTOGRAPH_WEIGHT = 0.5
"""Judgement until measured: half of what a photograph says for melanoma, nothing of what it says against it."""


@dataclass(frozen=True)
class ImageEvidence:
    """One model's finding on the picture, calibrated at the given prevalences."""

    melanoma: float
    prevalence: float
    malignant: float | None = None
    malignant_prevalence: float | None = None
    logit_sd: float | None = None


@dataclass(frozen=True)
class PictureEvidence:
    """Log-odds for melanoma and for malignant, and the deviation of the former.

    `held_back`: it spoke against melanoma, and was not let to.
    """

    melanoma: float
    malignant: float
    sd: float
    held_back: bool = False


def logit(p: float) -> float:
    """Log-odds of a probability, which is kept off 0 and 1 by a millionth."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def _shift(p: float, prevalence: float, modality: Modality) -> float:
    shift = min(max(logit(p) - logit(prevalence), -LIMIT), LIMIT)
    if modality == "photograph":
        # A model that is not calibrated on photographs may raise a risk, never lower it.
        return PHOTOGRAPH_WEIGHT * max(shift, 0.0)
    return shift


def evaluate(classifier: ImageEvidence | None, vlm: ImageEvidence | None, modality: Modality) -> PictureEvidence:
    """Weigh the picture; without a model it says nothing, and that is uncertain.

    A vlm alone says nothing about a photograph: the released one was measured there at worse than chance (its card).
    """
    chosen = classifier or (vlm if modality == "dermoscopy" else None)
    if chosen is None:
        return PictureEvidence(0.0, 0.0, SD_UNKNOWN)
    sd = SD_UNKNOWN
    if classifier is not None and classifier.logit_sd is not None:
        added = SD_PHOTOGRAPH if modality == "photograph" else 0.0
        sd = min(math.hypot(classifier.logit_sd, added), SD_UNKNOWN)
    melanoma = _shift(chosen.melanoma, chosen.prevalence, modality)
    malignant = melanoma
    if chosen.malignant is not None and chosen.malignant_prevalence is not None:
        malignant = _shift(chosen.malignant, chosen.malignant_prevalence, modality)
    if classifier is None:
        # Alone, the second model may raise a risk, never lower it.
        melanoma, malignant = max(melanoma, 0.0), max(malignant, 0.0)
    held_back = melanoma == 0 and chosen.melanoma < chosen.prevalence
    return PictureEvidence(melanoma, malignant, sd, held_back)
