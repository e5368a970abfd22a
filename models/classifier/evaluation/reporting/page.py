"""The report as one HTML page and one JSON file; each is written under another name first."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from models.classifier.evaluation.measurement import Figures
from models.classifier.evaluation.reporting.endpoint import EndpointReport
from models.classifier.evaluation.reporting.plots import Plot
from models.classifier.evaluation.subgroups import MINIMUM
from models.common.files import write_text

HTML, JSON = "report.html", "evaluation.json"
WORDS = {
    "auc": ("AUC", "chance that a positive is ranked above a negative; .5 is guessing, 1 is perfect"),
    "average_precision": ("PR-AUC", "mean precision over all sensitivities; guessing gives the share of positives"),
    "partial_auc_above_80_sensitivity": (
        "pAUC",
        "area above 80 % sensitivity, as in ISIC 2024; .02 is guessing, .2 best",
    ),
    "specificity_at_95_sensitivity": (
        "specificity at 95 % sensitivity",
        "share of the others left alone when 95 % is found",
    ),
    "brier": ("Brier score", "mean squared error of the probability; lower is better"),
    "ece": ("ECE", "how far probabilities are from what happens, over ten bins; lower is better"),
    "sensitivity": ("sensitivity", "share of the positives that is called positive"),
    "specificity": ("specificity", "share of the negatives that is called negative"),
    "precision": ("precision", "share of the alarms that is right"),
    "f1": ("F1", "harmonic mean of precision and sensitivity"),
    "accuracy": ("accuracy", "share called rightly; flattering where positives are rare"),
    "balanced_accuracy": ("balanced accuracy", "mean of sensitivity and specificity"),
}
"""Figure name to its name on the page, and what it says in plain words."""


METHOD = (
    (
        "Intervals are the middle 95 % over 1,000 resamples of whole lesion or patient groups: pictures of one lesion "
        "are not independent. They speak of chance in these pictures, not of other clinics, cameras or people. An "
        "interval from 1 to 1 says that no error was seen among few, not that there is none."
    ),
    (
        "A high AUC here does not mean that the classifier is safe to rely on: training and test pictures may share "
        "what has nothing to do with the lesion. Where positives are few, believe the interval and not the value."
    ),
)


@dataclass(frozen=True)
class Page:
    """What the template shows."""

    title: str
    lead: str
    facts: list[tuple[str, str]]
    notes: list[str]
    endpoints: list[EndpointReport]
    plots: list[Plot] = field(default_factory=list)
    """Of no single endpoint: confusion matrix, training curves."""
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)
    """(caption, column names, rows)."""
    more: str = "All classes and training"
    """What plots and tables of no single endpoint are about."""
    method: Sequence[str] = METHOD


def figures_of(reports: Iterable[EndpointReport]) -> Figures:
    """All endpoints' figures; their names tell them apart."""
    return {name: figure for report in reports for name, figure in report.figures.items()}


def subgroups_of(reports: Sequence[EndpointReport]) -> dict[str, Any]:
    """By endpoint and attribute: value, n, positives, and figures or the remark why there are none."""
    return {
        report.endpoint.name: {
            attribute: [
                {
                    "value": part.value,
                    "n": part.n,
                    "positives": part.positives,
                    **({"remark": part.remark} if part.remark else {"figures": part.figures}),
                }
                for part in parts
            ]
            for attribute, parts in report.subgroups.items()
        }
        for report in reports
    }


def write(folder: Path, page: Page, found: dict[str, Any], name: str = JSON) -> None:
    """Write the page as FOLDER/report.html and what was found as FOLDER/NAME."""
    folder.mkdir(parents=True, exist_ok=True)
    loader = jinja2.PackageLoader("models.classifier.evaluation.reporting", "")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(figure=told, number=_number)
    html = environment.get_template("report.html.j2").render(page=page, words=WORDS, minimum=MINIMUM)
    write_text(folder / HTML, html)
    write_text(folder / name, json.dumps(found, indent=2, allow_nan=False) + "\n")


def _number(value: float) -> str:
    return f"{value:.3f}"


def told(figure: dict[str, Any] | None) -> str:
    """Value and interval, where there is one."""
    if figure is None:
        return "not defined"
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f} to {high:.3f})"
