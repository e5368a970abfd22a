"""The page that `melalog data check` writes: findings with their pictures, then what the table holds."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image, ImageOps

from models.classifier.data.labels import CLASSES
from models.classifier.data.table import COARSE, Row
from models.classifier.data.table_checks import KINDS, Checked, Finding, Severity
from models.classifier.evaluation.reporting import drawing
from models.classifier.evaluation.reporting.plots import Plot
from models.common.files import write_text

SHOWN = 12
"""Findings of one kind with pictures; the count says how many there are."""
PICTURES = 4
SIDE = 160
KNOWN = ("lesion", "patient", "age", "sex", "site", "skin_type")


@dataclass(frozen=True)
class Example:
    """A picture as a data URI, empty where it cannot be read, and what is said under it."""

    uri: str
    says: str


@dataclass(frozen=True)
class Section:
    """Findings of one kind."""

    kind: str
    severity: Severity
    why: str
    count: int
    shown: list[tuple[str, list[Example]]]


def write(checked: Checked, path: Path, title: str) -> None:
    """Write the report to `path`: one file that needs no other."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("models.classifier.evaluation.reporting", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = checked.rows
    html = environment.get_template("data.html.j2").render(
        title=title,
        rows=len(rows),
        groups=len({row.group for row in rows}),
        leaks=checked.count("leak"),
        errors=checked.count("error"),
        warnings=checked.count("warning"),
        sections=[_section(checked, kind, found) for kind, found in checked.findings.items()],
        labels=[dx for dx in (*CLASSES, *COARSE) if any(row.dx == dx for row in rows)],
        counts=_counts(rows),
        known=_known(rows),
        sizes=_sizes(checked),
        plots=[_balance(rows), *_ages(rows)],
        examples=_examples(checked),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html)


def _section(checked: Checked, kind: str, found: Sequence[Finding]) -> Section:
    severity, why = KINDS[kind]
    shown = [(one.says, [_example(checked.rows[i]) for i in one.rows[:PICTURES]]) for one in found[:SHOWN]]
    return Section(kind, severity, why, len(found), shown)


def _example(row: Row) -> Example:
    return Example(
        thumbnail(row.path), f"{row.path.name}: {row.dx}, {row.source}{', ' + row.split if row.split else ''}"
    )


def thumbnail(path: Path) -> str:
    """A small JPEG as a data URI; empty where the picture cannot be read."""
    try:
        with Image.open(path) as image:
            small = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _parts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(source, split) of the table, in order."""
    return sorted({(row.source, row.split) for row in rows})


def _counts(rows: Sequence[Row]) -> list[tuple[str, str, Counter[str], int]]:
    """Source, split, pictures by label, groups."""
    told = []
    for source, split in _parts(rows):
        some = [row for row in rows if (row.source, row.split) == (source, split)]
        told.append((source, split or "none yet", Counter(row.dx for row in some), len({row.group for row in some})))
    return told


def _known(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """By source: the share of rows in which each column is known."""
    told = []
    for source in sorted({row.source for row in rows}):
        some = [row for row in rows if row.source == source]
        shares = [sum(getattr(row, name) not in (None, "", "unknown") for row in some) / len(some) for name in KNOWN]
        told.append((source, [f"{share:.0%}" for share in shares]))
    return told


def _sizes(checked: Checked) -> list[tuple[str, str]]:
    """By source: the commonest sizes in pixels. Sets that differ in them can be told apart by shape alone."""
    told = []
    for source in sorted({row.source for row in checked.rows}):
        sizes = Counter(
            (one.width, one.height)
            for row, one in zip(checked.rows, checked.prints, strict=True)
            if one and row.source == source
        )
        told.append((source, ", ".join(f"{w}x{h} ({n})" for (w, h), n in sizes.most_common(5))))
    return told


def _balance(rows: Sequence[Row]) -> Plot:
    labels = [dx for dx in (*CLASSES, *COARSE) if any(row.dx == dx for row in rows)]
    names = sorted({row.split for row in rows})
    colours = (drawing.FIRST, drawing.SECOND, drawing.THIRD, drawing.INK)
    counts = Counter((row.split, row.dx) for row in rows)
    height = 0.8 / len(names)
    with drawing.axes(5.2, 1 + 0.5 * len(labels)) as (figure, axes):
        for i, split in enumerate(names):
            places = np.arange(len(labels)) + i * height
            shares = [counts[split, dx] / sum(n for (s, _), n in counts.items() if s == split) for dx in labels]
            axes.barh(places, shares, height, label=split or "no split", color=colours[i % len(colours)])
        axes.set_yticks(np.arange(len(labels)) + 0.4 - height / 2, labels)
        axes.invert_yaxis()
        axes.set(xlabel="share of the split's pictures")
        axes.legend(loc="best")
        svg = drawing.inline(figure, "balance")
    told = ", ".join(f"{dx} {sum(row.dx == dx for row in rows)}" for dx in labels)
    return Plot("Labels", svg, "Each split should have about the same share of each label.", f"Pictures: {told}.")


def _ages(rows: Sequence[Row]) -> list[Plot]:
    """Ages with and without melanoma, where they are known: age alone predicts it."""
    ages = {side: [row.age for row in rows if row.age is not None and row.melanoma is side] for side in (True, False)}
    if not any(ages.values()):
        return []
    with drawing.axes(5.2, 3.4) as (figure, axes):
        for side, colour in ((False, drawing.FIRST), (True, drawing.SECOND)):
            if ages[side]:
                weights = np.full(len(ages[side]), 1 / len(ages[side]))
                name = "melanoma" if side else "not melanoma"
                axes.hist(ages[side], range(0, 101, 10), weights=weights, color=colour, alpha=0.5, label=name)
        axes.set(xlabel="age in years", ylabel="share")
        axes.legend(loc="best")
        svg = drawing.inline(figure, "ages")
    told = "; ".join(
        f"{'melanoma' if side else 'others'}: median {np.median(some):.0f}" for side, some in ages.items() if some
    )
    return [Plot("Age", svg, "Where the two differ, age alone predicts melanoma.", f"Ages. {told}.")]


def _examples(checked: Checked) -> list[tuple[str, list[Example]]]:
    """Some pictures of each label, spread over the table."""
    told = []
    for dx in (*CLASSES, *COARSE):
        some = [row for row, one in zip(checked.rows, checked.prints, strict=True) if one and row.dx == dx]
        if some:
            told.append((dx, [_example(row) for row in some[:: max(1, len(some) // PICTURES)][:PICTURES]]))
    return told
