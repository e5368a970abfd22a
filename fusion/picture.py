"""The weight of the image in log-odds: each model's calibrated logit minus the logit of its prevalence.

Classifier and vision-language model read the same image, so their likelihood ratios are never multiplied: a stack
fitted for the pair combines them. Without a stack only the classifier counts, and the vlm only without a classifier.
"""

import math
from dataclasses import dataclass
from typing import Literal

from fusion.stack import Stack

Modality = Literal["dermoscopy", "photograph"]

LIMIT_UP, LIMIT_DOWN = 4.0, 3.0
"""Largest shift in log-odds of one image: up 55 times (judgement), down 20 times. On the released classifier's
held-out fold no melanoma is among the 488 images at or below a shift of -3: by the rule of three that supports 1 in
19
of the prevalence, and no less."""
SD_UNKNOWN = 1.5
"""Judgement: log-odds deviation of an image that the classifier could not judge; the widest, so that losing a
model never narrows the interval."""
SD_ALONE = 0.5
"""Judgement, added in quadrature when only the classifier counts, so that the interval is never narrower than with the
stack, whose .57 is measured by resampling the fold and turning the image."""
SD_PHOTOGRAPH = 0.7
"""Judgement, added in quadrature: the models learned mostly from dermoscopy."""
PHOTOGRAPH_WEIGHT = 0.5
"""Judgement until measured: half of a photograph's shift towards melanoma, none of a shift away from it."""


@dataclass(frozen=True)
class ImageEvidence:
    """One model's finding on the image, calibrated at the given prevalences.

    Thresholds are for 95 % sensitivity, each with the specificity measured there.
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
class ImageShift:
    """Log-odds for melanoma and for malignant, and the deviation of the former.

    `held_back`: the image spoke against melanoma, but could not lower the risk. `stacked`: the stack combined both.
    """

    melanoma: float
    malignant: float
    sd: float
    held_back: bool = False
    stacked: bool = False


def logit(p: float) -> float:
    """Log-odds of a probability, clipped to [1e-6, 1 - 1e-6]."""
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
) -> ImageShift:
    """Weigh the image. Without a model the shift is 0 and the deviation the widest.

    A vlm alone does not count on a photograph: the released one does worse than chance there (its model card).
    """
    model = classifier or (vlm if modality == "dermoscopy" else None)
    if model is None:
        return ImageShift(0.0, 0.0, SD_UNKNOWN)
    melanoma = _shift(model.melanoma, model.prevalence)
    malignant = melanoma
    if model.malignant is not None and model.malignant_prevalence is not None:
        malignant = _shift(model.malignant, model.malignant_prevalence)
    stacked = False
    if stack is not None and classifier is not None and modality == "dermoscopy":
        if vlm is not None:
            melanoma, stacked = _bounded(stack.shift(melanoma, _shift(vlm.melanoma, vlm.prevalence))), True
        else:  # losing a model must not lower the risk
            melanoma = max(melanoma, _bounded(stack.shift(melanoma, 0.0)))
    against = melanoma < 0
    if modality == "photograph":
        # A model that is not calibrated on photographs may raise a risk, never lower it.
        melanoma, malignant = PHOTOGRAPH_WEIGHT * max(melanoma, 0.0), PHOTOGRAPH_WEIGHT * max(malignant, 0.0)
    elif classifier is None or out_of_distribution:
        # Nor may the vlm alone, or the classifier on an image unlike those it was trained on.
        melanoma, malignant = max(melanoma, 0.0), max(malignant, 0.0)
    sd = SD_UNKNOWN if out_of_distribution else _deviation(classifier, modality, stack if stacked else None)
    return ImageShift(melanoma, malignant, sd, held_back=against and melanoma == 0, stacked=stacked)


def _deviation(classifier: ImageEvidence | None, modality: Modality, stack: Stack | None) -> float:
    """Deviation of the log-odds. Losing a model never makes it smaller."""
    if classifier is None or classifier.logit_sd is None:
        return SD_UNKNOWN
    alone = math.hypot(classifier.logit_sd, SD_ALONE, SD_PHOTOGRAPH if modality == "photograph" else 0.0)
    return min(alone if stack is None else min(stack.sd, alone), SD_UNKNOWN)
