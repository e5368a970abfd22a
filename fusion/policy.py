"""From a probability to a level: thresholds first, then floors, which can only raise."""

from typing import Literal

Level = Literal["low", "moderate", "high"]
LEVELS: tuple[Level, ...] = ("low", "moderate", "high")

HIGH_MELANOMA, HIGH_MALIGNANT = 0.03, 0.10
"""NICE refers urgently at a positive predictive value of 3 %."""
MODERATE_MELANOMA, MODERATE_MALIGNANT = 0.01, 0.03


def by_probability(melanoma: float, malignant: float) -> Level:
    """The level that the numbers alone give."""
    if melanoma >= HIGH_MELANOMA or malignant >= HIGH_MALIGNANT:
        return "high"
    if melanoma >= MODERATE_MELANOMA or malignant >= MODERATE_MALIGNANT:
        return "moderate"
    return "low"


def raise_to_floors(
    level: Level, *, prior_melanoma: bool, classifier_ok: bool, picture_poor: bool, out_of_distribution: bool
) -> tuple[Level, tuple[str, ...]]:
    """Apply the floors. Returns the level and the names of the floors that raised it."""
    floors = {
        "prior_melanoma": prior_melanoma,
        "no_classifier": not classifier_ok,
        "poor_picture": picture_poor,
        "out_of_distribution": out_of_distribution,
    }
    if level != "low":
        return level, ()
    raised_by = tuple(name for name, applies in floors.items() if applies)
    return ("moderate" if raised_by else "low"), raised_by
