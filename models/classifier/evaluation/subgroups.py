"""How a classifier does for different people and places on the body; nothing is said about a handful of pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.classifier.data.table import Row
from models.classifier.evaluation.measurement import Decided, Figures, figures
from models.classifier.evaluation.statistics import Metric

MINIMUM = 10
"""Positives, and negatives, below which a figure would say more about chance than about the group."""
UNKNOWN = "not known"
_AGES = (30, 45, 60, 75)


@dataclass(frozen=True)
class Subgroup:
    """Part of the pictures; `figures` is empty where there are too few, and `remark` says so."""

    attribute: str
    value: str
    n: int
    positives: int
    figures: Figures
    remark: str = ""


def age_band(age: float | None) -> str:
    """Decades would leave too few melanomas in each: five bands."""
    if age is None:
        return UNKNOWN
    below = [bound for bound in _AGES if age >= bound]
    if not below:
        return f"under {_AGES[0]}"
    above = [bound for bound in _AGES if age < bound]
    return f"{below[-1]} to {above[0] - 1}" if above else f"{below[-1]} and over"


def attributes(row: Row) -> dict[str, str]:
    """What a row says of the person and the place."""
    known = {"sex": row.sex, "site": row.site, "skin type": row.skin_type, "source": row.source}
    named = {name: value.strip().lower() for name, value in known.items()}
    return {"age": age_band(row.age)} | {
        name: UNKNOWN if value in ("", "unknown") else value for name, value in named.items()
    }


def measure(
    wanted: Mapping[str, Metric], decided: Decided, rows: Sequence[Row], data: str
) -> dict[str, list[Subgroup]]:
    """Subgroups by attribute; an attribute with one value alone is left out. Sorted, the unknown last."""
    told = [attributes(rows[index]) for index in decided.rows]
    found = {}
    for name in told[0]:
        values = np.array([one[name] for one in told])
        ordered = sorted(
            set(values.tolist()), key=lambda value: (value == UNKNOWN, not value.startswith("under"), value)
        )
        if len(ordered) > 1:
            found[name] = [_one(wanted, name, value, decided.part(values == value), data) for value in ordered]
    return found


def _one(wanted: Mapping[str, Metric], attribute: str, value: str, part: Decided, data: str) -> Subgroup:
    n, positives = len(part.truth), int(part.truth.sum())
    for count, kind in ((positives, "positives"), (n - positives, "negatives")):
        if count < MINIMUM:
            remark = f"too few {kind} for a figure ({count} of at least {MINIMUM})"
            return Subgroup(attribute, value, n, positives, {}, remark)
    return Subgroup(attribute, value, n, positives, figures(wanted, part, f"{data}, {attribute} {value}"))
