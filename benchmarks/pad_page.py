"""The report of benchmarks.pad: one page that needs no other, and one JSON file."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.ticker import PercentFormatter

from benchmarks import pad_models
from benchmarks.pad_measure import Part
from benchmarks.pad_people import MAPPING, Asked
from fusion.policy import LEVELS
from models.classifier.evaluation import curves
from models.classifier.evaluation.curves import Curve
from models.classifier.evaluation.reporting import drawing, page, plots
from models.classifier.evaluation.statistics import Array

JSON = "pad.json"
LINES = {
    "image": (drawing.FIRST, "-"),
    "answers": (drawing.SECOND, "-"),
    "both": (drawing.THIRD, "-"),
    "missing": (drawing.INK, ":"),
}
FIGURES = {
    "auc": "AUC",
    "sensitivity_at_80_specificity": "sensitivity at 80 % specificity",
    "brier": "Brier score",
    "ece": "ECE",
    "calibration_slope": "calibration slope",
    "net_benefit_here": "net benefit at 3 %",
    "net_benefit_at_5_percent": "the same, were 5 % malignant",
}
METHOD = (
    (
        "Every model is a logistic regression fitted without the patient it judges: five folds by patient, 20 splits, "
        "their log-odds averaged. For image, answers and fusion it only recalibrates one number. AUC compares lesions "
        "judged by the same fit only (pooled folds would count against models that know little). Intervals are the "
        "middle 95 % over 1,000 resamples of patients, with the fits held fixed."
    ),
    (
        "Net benefit counts malignant lesions found less false alarms, weighed for acting at 3 % (Vickers 2019). Where "
        "most lesions are malignant nearly everybody is above 3 %, and every model equals acting on all; the last "
        "column moves the prior to 5 % malignant, as if these benign lesions were like those shown to a doctor."
    ),
    (
        "Left out because they give the label away: whether it was biopsied, the diameters, how the diagnosis was "
        "made. Actinic keratoses are neither malignant nor benign here, and left out."
    ),
)


def write(out: Path, parts: Sequence[Part], verdict: Sequence[str]) -> None:
    """OUT/report.html and OUT/pad.json."""
    headline = parts[0]
    tables = [_figures(part) for part in parts]
    tables += [_levels(part) for part in parts if part.levels and part.name != "trap"]
    tables.append(
        (
            "Which columns answer which questions",
            ["column", "question", "remark"],
            [[", ".join(one.columns), one.question, _remark(one)] for one in MAPPING],
        )
    )
    shown = page.Page(
        title="Fusion on real people: PAD-UFES-20",
        lead="Photographs and answers of the same patients; is a lesion malignant? " + verdict[0],
        facts=[(part.name, f"{size(part)}; {part.says}") for part in parts],
        notes=list(verdict),
        endpoints=[],
        plots=_plots(headline),
        tables=tables,
        more="Image, answers, both, and the trap",
        method=METHOD,
    )
    page.write(out, shown, _json(parts, verdict), JSON)


def size(part: Part) -> str:
    """How many, in words."""
    return f"{len(part.truth)} lesions of {len(set(part.groups))} patients, {int(part.truth.sum())} malignant"


def _remark(one: Asked) -> str:
    return one.remark if one.offered else "not used: this version of the questionnaire does not ask it"


def _told(figure: dict[str, Any]) -> str:
    return page.told(figure) if "interval" in figure else f"{figure['value']:.2f}"


def _figures(part: Part) -> tuple[str, list[str], list[list[str]]]:
    rows = []
    for one, figures in part.figures.items():
        less = page.told(part.differences[one]) if one in part.differences else ""
        rows.append([pad_models.NAMES[one], *(_told(figures[name]) for name in FIGURES), less])
    return (
        f"{part.name}: {part.says} ({size(part)})",
        ["model", *FIGURES.values(), "AUC less the image's"],
        rows,
    )


def _levels(part: Part) -> tuple[str, list[str], list[list[str]]]:
    rows = [
        [known, kind, *(f"{one['value']:.1%} ({one['interval'][0]:.1%} to {one['interval'][1]:.1%})" for one in shares)]
        for known, kinds in part.levels.items()
        for kind, shares in kinds.items()
    ]
    return f"{part.name}: level as served, at the default prior", ["known", "lesions", *LEVELS], rows


def _plots(part: Part) -> list[plots.Plot]:
    truth, groups, p = part.truth, part.groups, part.p
    found = [_roc(part), _decision(part)]
    for one in ("image", "both"):
        curve = curves.reliability(truth, p[one], groups, bins=5)
        drawn = plots.reliability("malignant", curve, p[one])
        found.append(
            replace(drawn, title=f"Reliability: {pad_models.NAMES[one]}", about=drawn.about.replace("Ten", "Five"))
        )
    return found


def _roc(part: Part) -> plots.Plot:
    def of(p: Array) -> Curve:
        return curves.roc(part.truth, p, part.groups, repeats=200)

    with drawing.axes() as (figure, axes):
        axes.plot([0, 1], [0, 1], color=drawing.FAINT, linestyle="--", linewidth=1.2)
        _draw(axes, part, of)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlabel="benign lesions called malignant", ylabel="malignant found (sensitivity)")
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="lower right")
        svg = drawing.inline(figure, "pad-roc")
    aucs = ", ".join(f"{pad_models.NAMES[one]} {part.figures[one]['auc']['value']:.2f}" for one in LINES)
    return plots.Plot(
        "ROC curves", svg, "Nearer to the upper left is better; the dashed line is guessing.", f"Areas: {aucs}."
    )


def _decision(part: Part) -> plots.Plot:
    """At a prior of 5 %: here, where most are malignant, every model would equal acting on all."""

    def of(p: Array) -> Curve:
        moved = pad_models.shifted(p, part.truth)
        x = curves.THRESHOLDS[:20]
        weight = x / (1 - x)
        called = moved[:, None] >= x
        hit, alarms = called[part.truth == 1].mean(0), called[part.truth == 0].mean(0)
        y = pad_models.PREVALENCE * hit - (1 - pad_models.PREVALENCE) * alarms * weight
        return Curve(x, y, y, y)

    x = curves.THRESHOLDS[:20]
    everyone = pad_models.PREVALENCE - (1 - pad_models.PREVALENCE) * x / (1 - x)
    with drawing.axes() as (figure, axes):
        _draw(axes, part, of)
        axes.plot(x, everyone, color=drawing.FAINT, linestyle="--", label="act on every lesion")
        axes.axhline(0, color=drawing.FAINT, linewidth=1)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlabel="probability at which one would act", ylabel="net benefit per lesion", xlim=(0.01, 0.2))
        axes.set(ylim=(-0.02, 0.055))
        axes.legend(loc="upper right")
        svg = drawing.inline(figure, "pad-decision")
    told = ", ".join(
        f"{pad_models.NAMES[one]} {part.figures[one]['net_benefit_at_5_percent']['value']:.4f}" for one in LINES
    )
    return plots.Plot(
        "Decision curves, were 5 % malignant",
        svg,
        "Malignant lesions found less weighed false alarms, over when one would act. The highest line is the best.",
        f"At 3 %: {told}.",
    )


def _draw(axes: Any, part: Part, of: Callable[[Array], Curve]) -> None:
    for one, (colour, style) in LINES.items():
        curve = of(part.p[one])
        axes.plot(curve.x, curve.y, color=colour, linestyle=style, linewidth=2, label=pad_models.NAMES[one])


def _json(parts: Sequence[Part], verdict: Sequence[str]) -> dict[str, Any]:
    return {
        "verdict": list(verdict),
        "mapping": [
            {"columns": one.columns, "question": one.question, "asked": one.offered, "remark": one.remark}
            for one in MAPPING
        ],
        "parts": {
            part.name: {
                "says": part.says,
                "lesions": len(part.truth),
                "patients": len(set(part.groups)),
                "malignant": int(part.truth.sum()),
                "figures": part.figures,
                "auc_less_image": part.differences,
                "levels": part.levels,
            }
            for part in parts
        },
    }
