"""The report of benchmarks.simulation: one page that needs no other, and one JSON file."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from fusion.policy import LEVELS
from models.classifier.evaluation.reporting import drawing, page
from models.classifier.evaluation.reporting.plots import Plot

JSON = "simulation.json"
METHOD = (
    (
        "Answers are drawn one by one from the prevalences that questionnaire.json cites, ages from the European "
        "Standard Population 2013 above 20: how answers go together is not known, and people who worry about a spot "
        "are not the population. Pictures are drawn from the held-out fold (HAM10000), whatever the person answered; "
        "the classifier speaks alone, because the fold's verdicts of the vlm are not kept. No sign of the spot "
        "(change, growth, bleeding) is drawn: how common they are is not published."
    ),
    "It shows how the rules behave, not how many melanomas they would find. Shares of 10,000 are good to one point.",
)


def write(out: Path, found: dict[str, Any]) -> list[str]:
    """OUT/report.html and OUT/simulation.json; returns what was found in words."""
    told = verdict(found)
    shown = page.Page(
        title=f"What {found['people']:,} people would be told",
        lead=f"Questionnaire {found['questionnaire']}, prior {found['prior']:.1%}, answers as published, rules alone.",
        facts=[("people", f"{found['people']:,}"), ("prior", f"{found['prior']:.1%} melanoma")],
        notes=told,
        endpoints=[],
        plots=[_levels(found), _risks(found)],
        tables=[_level_table(found), _calibration_table(found), _risk_table(found)],
        more="Levels and risks",
        method=METHOD,
    )
    page.write(out, shown, {**{k: v for k, v in found.items() if k != "melanoma"}, "verdict": told}, JSON)
    return told


def verdict(found: dict[str, Any]) -> list[str]:
    """In words that follow the figures."""
    told = []
    for name, one in found["calibration"].items():
        near = abs(one["ratio"] - 1) <= found["tolerance"]
        low, high = one["interval"]
        told.append(
            f"Mean predicted risk with {name}: {one['value']:.2%} ({low:.2%} to {high:.2%}), "
            f"{one['ratio']:.2f} times the prior of {found['prior']:.2%}"
            + ("." if near else f": more than {found['tolerance']:.0%} off.")
        )
    reached = found["levels"]["dermoscopy, benign"]["low"]
    told.append(
        f"Of benign lesions {reached:.0%} are rated low on dermoscopy and "
        f"{found['levels']['photograph, benign']['low']:.0%} on photographs: "
        + ("low stays reachable." if reached > 0 else "low is never reached.")
    )
    unsure = found["unsure"]
    told.append(
        f"`unsure` in place of no answer changed the number or the level of {unsure['differs_from_missing']} of "
        f"{unsure['people']:,} people. One answer withheld changed the level of "
        f"{unsure['one_answer_withheld']['up'] + unsure['one_answer_withheld']['down']:,}."
    )
    return told


def _level_table(found: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    rows = [[name, *(f"{share:.1%}" for share in shares.values())] for name, shares in found["levels"].items()]
    return "Share of people at each level", ["picture", *LEVELS, "raised by a floor"], rows


def _calibration_table(found: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    rows = [
        [name, f"{one['value']:.2%}", f"{one['interval'][0]:.2%} to {one['interval'][1]:.2%}", f"{one['ratio']:.2f}"]
        for name, one in found["calibration"].items()
    ]
    return "Mean predicted melanoma risk against the prior", ["given", "mean", "95 % interval", "of the prior"], rows


def _risk_table(found: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    rows = [[name, *(f"{value:.2%}" for value in some.values())] for name, some in found["risks"].items()]
    return "Predicted melanoma risk", ["picture", "mean", "5th percentile", "median", "95th percentile"], rows


def _levels(found: dict[str, Any]) -> Plot:
    names = list(found["levels"])
    colours = dict(zip(LEVELS, (drawing.FIRST, drawing.THIRD, drawing.SECOND), strict=True))
    with drawing.axes(5.6, 3.8) as (figure, axes):
        left = np.zeros(len(names))
        for level, colour in colours.items():
            shares = np.array([found["levels"][name][level] for name in names])
            axes.barh(names, shares, left=left, color=colour, label=level)
            left += shares
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlim=(0, 1), xlabel="share of people")
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.18), ncols=3)
        svg = drawing.inline(figure, "levels")
    told = "; ".join(
        f"{name}: " + ", ".join(f"{one} {found['levels'][name][one]:.0%}" for one in LEVELS) for name in names
    )
    return Plot("Levels", svg, "What the same people would be told, by kind of picture.", f"Shares. {told}.")


def _risks(found: dict[str, Any]) -> Plot:
    edges: list[float] = np.logspace(-4, 0, 41).tolist()
    shown = {
        "dermoscopy, benign": drawing.FIRST,
        "dermoscopy, an average picture": drawing.THIRD,
        "dermoscopy, melanoma": drawing.SECOND,
    }
    with drawing.axes(5.6, 3.8) as (figure, axes):
        for name, colour in shown.items():
            axes.hist(found["melanoma"][name], edges, color=colour, alpha=0.45, label=name.removeprefix("dermoscopy, "))
        axes.axvline(found["prior"], color=drawing.INK, linestyle=":", label="prior")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set(xlabel="predicted melanoma risk", ylabel="people")
        axes.legend(loc="upper right")
        svg = drawing.inline(figure, "risks")
    told = ", ".join(f"{name} {found['risks'][name]['p50']:.2%}" for name in shown)
    return Plot(
        "Predicted risk on dermoscopy", svg, "The same people with three kinds of picture.", f"Medians: {told}."
    )
