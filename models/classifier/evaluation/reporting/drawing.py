"""A matplotlib figure as inline SVG that takes its colours from the page, so that dark mode works."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT, FIRST, SECOND, THIRD = "#010203", "#020304", "#030405", "#040506", "#050607"
"""Stand-ins that no figure would use by itself; the page's own variables replace them."""
_VARIABLES = {INK: "ink", FAINT: "line", FIRST: "first", SECOND: "second", THIRD: "third"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def axes(width: float = 5.2, height: float = 4.2) -> Iterator[tuple[Figure, Axes]]:
    """One plot in the page's style, in inches; it holds no window and no global state."""
    with mpl.rc_context(_STYLE):
        figure = Figure((width, height), layout="constrained")
        yield figure, figure.add_subplot()


def inline(figure: Figure, name: str) -> str:
    """The SVG element. `name` keeps the ids of several figures in one page apart."""
    buffer = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg
