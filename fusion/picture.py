"""What the picture is worth, as log-odds: each model's calibrated logit less the logit of its prevalence.

Classifier and vision-language model see the same picture, so their ratios are never multiplied: a stack that was fitted
for the pair says what both are worth. Without one the classifier speaks alone; the vlm speaks when it cannot.
"""

import math
from dataclasses import dataclass
from typing import Literal

from fusion.stack import Stack

Modality = Literal["dermoscopy", "photograph"]

LIMIT_UP, LIMIT_DOWN = 4.0, 3.0
"""Largest shift in log-odds one picture may cause: up 55 times (judgement), down 20 times. On the released classifier's
held-out fold no melanoma is among the 488 pictures at or below a shift of -3: by the rule of three that supports 1 in
19
of the prevalence, and no less."""
SD_UNKNOWN = 1.5
"""Judgement: log-odds deviation of a picture that the classifier could not judge; the widest there is, so that
losing a part never makes the answer look surer."""
SD_ALONE = 0.5
"""Judgement, added in quadrature when the classifier speaks alone: so it is never surer than the stack, whose .57 is
measured by resampling the fold and turning the picture."""
SD_PHOTOGRAPH = 0.7
"""Judgement, added in quadrature: the models learned mostly from dermoscopy."""
PHOTOGRAPH_WEIGHT = 0.5
"""Judgement until measured: half of what a photograph says for melanoma, nothing of what it says against it."""


@dataclass(frozen=True)
class ImageEvidence:
    """One model's finding on the picture, calibrated at the given prevalences.

    Thresholds are for 95 % sensitivity, each with the specificity that was measured there.
    """

    melanoma: float
    prevalence: float
    malignant: float | None = None
    malignant_prevalence: float | None = None
    logit_sd: float | None = None
    threshold_95: float | None = None
    specificity_95: float | None = None
    malignant_threshold: float | None = None
    malignant_specificity: float | None = None


@dataclass(frozen=True)
class PictureEvidence:
    """Log-odds for melanoma and for malignant, and the deviation of the former.

    `held_back`: it spoke against melanoma, and was not let to. `stacked`: both models count, as fitted.
    """

    melanoma: float
    malignant: float
    sd: float
    held_back: bool = False
    stacked: bool = False


def logit(p: float) -> float:
    """Log-odds of a probability, which is kept off 0 and 1 by a millionth."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def _shift(p: float, prevalence: float) -> float:
    return _bounded(logit(p) - logit(prevalence))


def _bounded(shift: float) -> float:
    return min(max(shift, -LIMIT_DOWN), LIMIT_UP)


def evaluate(
    classifier: ImageEvidence | None,
    vlm: ImageEvidence | None,
    modality: Modality,
    stack: Stack | None = None,
    *,
    out_of_distribution: bool = False,
) -> PictureEvidence:
    """Weigh the picture; without a model it says nothing, and that is uncertain.

    A vlm alone says nothing about a photograph: the released one was measured there at worse than chance (its card).
    """
    chosen = classifier or (vlm if modality == "dermoscopy" else None)
    if chosen is None:
        return PictureEvidence(0.0, 0.0, SD_UNKNOWN)
    melanoma = _shift(chosen.melanoma, chosen.prevalence)
    malignant = melanoma
    if chosen.malignant is not None and chosen.malignant_prevalence is not None:
        malignant = _shift(chosen.malignant, chosen.malignant_prevalence)
    stacked = False
    if stack is not None and classifier is not None and modality == "dermoscopy":
        if vlm is not None:
            melanoma, stacked = _bounded(stack.shift(melanoma, _shift(vlm.melanoma, vlm.prevalence))), True
        else:  # losing a witness must not make the answer milder
            melanoma = max(melanoma, _bounded(stack.shift(melanoma, 0.0)))
    against = melanoma < 0
    if modality == "photograph":
        # A model that is not calibrated on photographs may raise a risk, never lower it.
        melanoma, malignant = PHOTOGRAPH_WEIGHT * max(melanoma, 0.0), PHOTOGRAPH_WEIGHT * max(malignant, 0.0)
    elif classifier is None or out_of_distribution:
        # Nor may the second model alone, or the first on a picture unlike those it learned from.
        melanoma, malignant = max(melanoma, 0.0), max(malignant, 0.0)
    sd = SD_UNKNOWN if out_of_distribution else _deviation(classifier, modality, stack if stacked else None)
    return PictureEvidence(melanoma, malignant, sd, held_back=against and melanoma == 0, stacked=stacked)


def _deviation(classifier: ImageEvidence | None, modality: Modality, stack: Stack | None) -> float:
    """Of the log-odds. Losing a model never makes it smaller."""
    if classifier is None or classifier.logit_sd is None:
        return SD_UNKNOWN
    alone = math.hypot(classifier.logit_sd, SD_ALONE, SD_PHOTOGRAPH if modality == "photograph" else 0.0)
    return min(alone if stack is None else min(stack.sd, alone), SD_UNKNOWN)
