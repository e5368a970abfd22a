"""The figures of the report, each with the words that say what it shows to who cannot see it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from models.classifier.evaluation.curves import Curve
from models.classifier.evaluation.reporting import drawing
from models.classifier.evaluation.reporting.drawing import FAINT, FIRST, INK, SECOND, THIRD
from models.classifier.evaluation.statistics import Array


@dataclass(frozen=True)
class Plot:
    """Inline SVG, a title, what it is about in plain words, and its alternative text."""

    title: str
    svg: str
    about: str
    alt: str


def _curve(axes: Axes, curve: Curve, colour: str = FIRST, label: str | None = None) -> None:
    axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(curve.x, curve.y, color=colour, linewidth=2, label=label)


def _percent(axes: Axes, x: str, y: str) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel=x, ylabel=y)


def _at(curve: Curve, x: float) -> float:
    return float(np.interp(x, curve.x, curve.y))


def roc(name: str, curve: Curve, points: Sequence[tuple[str, float, float]]) -> Plot:
    """`points`: (label, share of false alarms, sensitivity) of the thresholds."""
    with drawing.axes() as (figure, axes):
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1.2)
        _curve(axes, curve)
        for marker, (label, alarms, sensitivity) in zip("osD^v", points, strict=False):
            axes.plot(alarms, sensitivity, marker, color=SECOND, markersize=8, label=label)
        if points:
            axes.legend(loc="lower right")
        _percent(axes, f"other pictures called {name}", f"{name} found (sensitivity)")
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        svg = drawing.inline(figure, f"{name}-roc")
    return Plot(
        "ROC curve",
        svg,
        f"For every possible threshold: how much {name} is found, and how many other pictures raise an alarm for it. "
        "Nearer to the upper left is better; the dashed line is guessing.",
        f"ROC curve. With 10 % false alarms {_at(curve, 0.1):.0%} are found, with 20 % {_at(curve, 0.2):.0%}, "
        f"with 50 % {_at(curve, 0.5):.0%}.",
    )


def precision_recall(name: str, curve: Curve, prevalence: float) -> Plot:
    """Precision over sensitivity."""
    with drawing.axes() as (figure, axes):
        axes.axhline(prevalence, color=FAINT, linestyle="--", linewidth=1.2)
        _curve(axes, curve)
        _percent(axes, f"{name} found (sensitivity)", "alarms that are right (precision)")
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        svg = drawing.inline(figure, f"{name}-pr")
    return Plot(
        "Precision and sensitivity",
        svg,
        f"Of the pictures called {name}, how many are. It depends on how common {name} is here: guessing would "
        f"give {prevalence:.1%} (dashed).",
        f"Precision is {_at(curve, 0.5):.0%} at 50 % sensitivity, {_at(curve, 0.8):.0%} at 80 % "
        f"and {_at(curve, 0.95):.0%} at 95 %.",
    )


def reliability(name: str, curve: Curve, p: Array) -> Plot:
    """Observed share over prediction; the strip below shows where the predictions lie."""
    top = min(1.0, 1.08 * float(np.nanmax([*curve.x, *curve.high, *curve.y])))
    with drawing.axes() as (figure, axes):
        axes.plot([0, top], [0, top], color=FAINT, linestyle="--", linewidth=1.2)
        axes.vlines(curve.x, curve.low, curve.high, color=FIRST, linewidth=2, alpha=0.5)
        axes.plot(curve.x, curve.y, "o-", color=FIRST, linewidth=1.2, markersize=6)
        counts, edges = np.histogram(p[p <= top], bins=40, range=(0, top))
        tallest = 0.12 * top / max(1, counts.max())
        axes.bar(edges[:-1], counts * tallest, np.diff(edges), align="edge", color=THIRD, alpha=0.35)
        _percent(axes, f"predicted probability of {name}", f"share that was {name}")
        axes.set(xlim=(0, top), ylim=(0, top))
        svg = drawing.inline(figure, f"{name}-reliability")
    told = ", ".join(f"{x:.1%} predicted and {y:.1%} observed" for x, y in zip(curve.x, curve.y, strict=True))
    return Plot(
        "Reliability",
        svg,
        "Do the probabilities mean what they say? Ten bins of equally many pictures; on the dashed line prediction and "
        "outcome agree. The bars at the bottom show how often each prediction was made.",
        f"Reliability diagram, bin by bin: {told}.",
    )


def decision(name: str, curve: Curve, prevalence: float) -> Plot:
    """Net benefit of the classifier, of acting on all, and of acting on none."""
    everyone = prevalence - (1 - prevalence) * curve.x / (1 - curve.x)
    with drawing.axes() as (figure, axes):
        _curve(axes, curve, label="this classifier")
        axes.plot(curve.x, everyone, color=SECOND, linestyle="--", linewidth=1.5, label="act on every picture")
        axes.axhline(0, color=INK, linewidth=1, linestyle=":", label="act on none")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set(xlabel=f"probability of {name} at which one would act", ylabel="net benefit per picture")
        axes.set(xlim=(0, curve.x[-1]), ylim=(-0.25 * prevalence, 1.12 * max(prevalence, float(np.nanmax(curve.high)))))
        axes.legend(loc="upper right")
        svg = drawing.inline(figure, f"{name}-decision")
    better = curve.x[curve.y > np.maximum(everyone, 0)]
    span = f"between {better[0]:.0%} and {better[-1]:.0%}" if len(better) else "at no threshold"
    return Plot(
        "Decision curve",
        svg,
        f"Is it of use? {name.capitalize()} found less the false alarms, these weighed by how sure one wants to be "
        "before one acts (Vickers and Elkin 2006). The highest line is the best policy.",
        f"Decision curve. The classifier beats acting on every picture and acting on none {span}.",
    )


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Plot:
    """Counts [true, predicted], coloured by the share of the true class."""
    totals = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    with drawing.axes(6.2, 5.4) as (figure, axes):
        axes.grid(visible=False)
        for row, column in np.ndindex(*counts.shape):
            colour = FIRST if row == column else SECOND
            axes.add_patch(_cell(column, row, colour, float(shares[row, column])))
            text = f"{counts[row, column]}\n{shares[row, column]:.0%}" if counts[row, column] else "·"
            axes.text(column, row, text, ha="center", va="center", fontsize=9)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), [f"{name} ({n})" for name, n in zip(names, totals[:, 0], strict=True)])
        axes.set(xlabel="called", ylabel="is", xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
        svg = drawing.inline(figure, "confusion")
    told = ", ".join(f"{name} {shares[i, i]:.0%} of {totals[i, 0]}" for i, name in enumerate(names) if totals[i, 0])
    return Plot(
        "What is taken for what",
        svg,
        "Each row is a true diagnosis, with its number of pictures; each column the likeliest to the classifier.",
        f"Confusion matrix. Recognised: {told}.",
    )


def _cell(column: int, row: int, colour: str, share: float) -> Rectangle:
    return Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour, alpha=0.75 * share, linewidth=0)


def training(epochs: Sequence[float], series: dict[str, list[float]], title: str) -> Plot:
    """Figures by epoch, several lines in one plot."""
    with drawing.axes(5.2, 3.4) as (figure, axes):
        for (name, values), (colour, line) in zip(
            series.items(), [(c, s) for s in ("-", "--", ":") for c in (FIRST, SECOND, THIRD)], strict=False
        ):
            axes.plot(epochs, values, color=colour, linestyle=line, linewidth=2, label=name.replace("_", " "))
        axes.legend(loc="best")
        axes.set(xlabel="epoch")
        svg = drawing.inline(figure, f"training-{title}")
    told = "; ".join(f"{name} from {_ends(values)}" for name, values in series.items())
    return Plot(f"Training: {title}", svg, "How it went, epoch by epoch.", f"Training curves: {told}.")


def _ends(values: Sequence[float]) -> str:
    known = [value for value in values if np.isfinite(value)]
    return f"{known[0]:.4g} to {known[-1]:.4g}" if known else "nothing"
