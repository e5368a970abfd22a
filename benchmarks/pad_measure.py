"""Figures of the four models on some of PAD-UFES-20's people, and what they amount to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import pad_models
from benchmarks.pad_models import PREVALENCE
from benchmarks.pad_people import Person
from fusion.policy import LEVELS
from models.classifier.evaluation import statistics
from models.classifier.evaluation.statistics import Array
from models.classifier.serving.artifact import ClassifierArtifact


@dataclass(frozen=True)
class Part:
    """Some of the people, and what each model says of them out of fold."""

    name: str
    says: str
    truth: Array
    groups: list[str]
    p: dict[str, Array]
    figures: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By model and figure."""
    differences: dict[str, dict[str, Any]] = field(default_factory=dict)
    """AUC of another model less the image's, on the same resamples."""
    levels: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    """As served: by what was known and by kind of lesion, the share at each level."""


def measure(
    name: str,
    says: str,
    people: Sequence[Person],
    found: dict[str, Array] | None,
    artifact: ClassifierArtifact,
    prior: float,
    splits: int = pad_models.SPLITS,
) -> Part:
    """Fit and judge every model on these people."""
    truth = np.array([one.malignant for one in people], float)
    groups = [one.group for one in people]
    features = pad_models.evidence(people, found, artifact, prior)
    order = [one for one in pad_models.NAMES if one in features]
    judged = {one: pad_models.out_of_fold(features[one], truth, groups, splits) for one in order}
    part = Part(name, says, truth, groups, {one: found.p for one, found in judged.items()})
    drawn = np.concatenate(list(statistics.draws(groups)))
    everyone = np.ones((1, len(truth)))
    aucs = {one: pad_models.auc(found, truth, np.concatenate([everyone, drawn])) for one, found in judged.items()}
    for one in order:
        part.figures[one] = {"auc": _first(aucs[one])} | _figures(truth, part.p[one], groups)
        if "image" in aucs and one != "image":
            part.differences[one] = _first(aucs[one] - aucs["image"])
    if "both" in aucs:
        part.differences["missing_less_both"] = _first(aucs["missing"] - aucs["both"])
    if found is not None:
        for known, levels in pad_models.levels(people, found, artifact, prior).items():
            part.levels[known] = {
                kind: _shares(levels[chosen], [g for g, mine in zip(groups, chosen, strict=True) if mine])
                for kind, chosen in (("malignant", truth == 1), ("benign", truth == 0))
            }
    return part


def _shares(levels: np.ndarray, groups: Sequence[str]) -> list[dict[str, Any]]:
    found = [statistics.share(levels == index, groups) for index in range(len(LEVELS))]
    return [{"value": value, "interval": interval, "n": len(levels)} for value, interval in found]


def _first(values: Array) -> dict[str, Any]:
    """The figure of everyone, and its interval from the resamples behind it."""
    return {"value": float(values[0]), "interval": statistics.interval(values[1:])}


def _figures(truth: Array, p: Array, groups: Sequence[str]) -> dict[str, dict[str, Any]]:
    here = {
        "sensitivity_at_80_specificity": pad_models.sensitivity_at(0.8),
        "brier": statistics.METRICS["brier"],
        "ece": statistics.METRICS["ece"],
        "net_benefit_here": pad_models.net_benefit(),
    }
    found = statistics.bootstrap_all(here, truth, p, groups)
    found |= statistics.bootstrap_all(
        {"net_benefit_at_5_percent": pad_models.net_benefit(PREVALENCE)}, truth, pad_models.shifted(p, truth), groups
    )
    told = {name: {"value": value, "interval": interval} for name, (value, interval) in found.items()}
    slope = pad_models.calibration_slope(truth, p)
    return told | {"calibration_slope": {"value": slope}}


def verdict(headline: Part, trap: Part) -> list[str]:
    """What was found, in words that follow the figures."""
    told = []
    for one in ("both", "both_refitted"):
        difference = headline.differences[one]
        low, high = difference["interval"]
        held = "beats" if low > 0 else "is worse than" if high < 0 else "does not beat"
        told.append(
            f"{pad_models.NAMES[one].capitalize()}: {held} the image alone on these people. AUC "
            f"{difference['value']:+.3f} ({low:+.3f} to {high:+.3f}), {len(headline.truth)} lesions, "
            f"{int(headline.truth.sum())} malignant."
        )
    here, there = (_told(part.figures["missing"]["auc"]) for part in (headline, trap))
    less = headline.differences["missing_less_both"]
    told.append(
        f"A model that sees only which answers are missing reaches AUC {here} among the biopsied "
        f"({_told(less, '+')} against fusion), and {there} when lesions diagnosed by eye are let in: in this set who "
        "was asked depends on the diagnosis. Nothing measured with the latter in it says anything."
    )
    return told


def _told(figure: dict[str, Any], sign: str = "") -> str:
    low, high = figure["interval"]
    return f"{figure['value']:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"
