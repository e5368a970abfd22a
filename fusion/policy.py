"""From a probability to a level: thresholds first, then floors, which can only raise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["low", "moderate", "high"]
LEVELS: tuple[Level, ...] = ("low", "moderate", "high")
CHANGE_FROM_AGE = 40
"""A definite change after 40 should be seen by a doctor whatever the other answers (docs/evidence.md, section 7.2)."""
USEFUL_SPECIFICITY = 0.5
"""A threshold that flags more than half of the harmless lesions would make every level moderate."""


@dataclass(frozen=True)
class Thresholds:
    """Probabilities from which a level holds. NICE refers urgently at a positive predictive value of 3 %."""

    high_melanoma: float = 0.03
    high_malignant: float = 0.10
    moderate_melanoma: float = 0.01
    moderate_malignant: float = 0.03


DEFAULT = Thresholds()

FLOORS: dict[str, Level] = {
    "rapid_growth": "high",
    "melanoma_before_and_change": "high",
    "prior_melanoma": "moderate",
    "bleeding": "moderate",
    "change": "moderate",
    "classifier_threshold": "moderate",
    "vlm_threshold": "moderate",
    "other_skin_cancer": "moderate",
    "no_classifier": "moderate",
    "poor_picture": "moderate",
    "out_of_distribution": "moderate",
    "modality_doubted": "moderate",
}
"""The lowest level that each finding allows, whatever the probability."""


def by_probability(melanoma: float, malignant: float, thresholds: Thresholds = DEFAULT) -> Level:
    """The level that the numbers alone give."""
    if melanoma >= thresholds.high_melanoma or malignant >= thresholds.high_malignant:
        return "high"
    if melanoma >= thresholds.moderate_melanoma or malignant >= thresholds.moderate_malignant:
        return "moderate"
    return "low"


def of_answers(factors: Mapping[str, str], age: int | None) -> set[str]:
    """Floors that the answers call for. With an unknown age, a changed lesion has its floor as well."""
    yes = {name for name, answer in factors.items() if answer == "yes"}
    changed = bool(yes & {"change", "new_mole", "rapid_growth"})
    names = yes & {"rapid_growth", "prior_melanoma", "bleeding"}
    if "change" in yes and (age is None or age >= CHANGE_FROM_AGE):
        names.add("change")
    if "prior_melanoma" in yes and changed:
        names.add("melanoma_before_and_change")
    return names


def above(p: float | None, threshold: float | None, specificity: float | None) -> bool:
    """Whether a model reaches its threshold for 95 % sensitivity, and is specific enough there to count."""
    if p is None or threshold is None or specificity is None:
        return False
    return specificity >= USEFUL_SPECIFICITY and p >= threshold


def raise_to_floors(level: Level, floors: set[str]) -> tuple[Level, tuple[str, ...]]:
    """Apply the floors. Returns the level and the names of the floors that raised it, in the order of FLOORS."""
    raised_by = tuple(name for name in FLOORS if name in floors and _higher(FLOORS[name], level))
    return max((level, *(FLOORS[name] for name in raised_by)), key=LEVELS.index), raised_by


def step_up(level: Level) -> Level:
    """One level higher; high stays."""
    return LEVELS[min(LEVELS.index(level) + 1, len(LEVELS) - 1)]


def _higher(one: Level, other: Level) -> bool:
    return LEVELS.index(one) > LEVELS.index(other)
