"""The evaluation of an artifact on labelled pictures, from the verified folder to report.html and evaluation.json."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from models.classifier.data.labels import CLASSES
from models.classifier.data.table import Row
from models.classifier.evaluation import curves, measurement, tta
from models.classifier.evaluation.measurement import Endpoint, Figures, Outputs
from models.classifier.evaluation.reporting import endpoint as endpoints
from models.classifier.evaluation.reporting import page, plots, thumbnails, training_curves
from models.classifier.evaluation.reporting.endpoint import EndpointReport
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.common.views import VIEWS

ENDPOINTS = {one.name: one for one in (measurement.MELANOMA_ENDPOINT, measurement.MALIGNANT_ENDPOINT)}


@dataclass(frozen=True)
class Order:
    """What to measure: a file of an artifact, labelled pictures, and what they are called in the report."""

    artifact: ClassifierArtifact
    rows: Sequence[Row]
    data: str
    endpoint: str | None = None
    """None: both, as far as the labels decide them."""
    file: str = MODEL_FILE
    turn: bool = True
    run: Path | None = None
    """metrics.jsonl of the run, or its folder."""


def write(order: Order, out: Path) -> dict[str, Any]:
    """Evaluate, write OUT/report.html and OUT/evaluation.json, return the latter.

    Raises ValueError naming what is wrong: an unknown file, no row, one class alone, an unreadable picture.
    """
    variants = order.artifact.manifest.files
    if order.file not in variants:
        raise ValueError(f"the manifest names no file {order.file!r}, only {', '.join(sorted(variants))}")
    if not order.rows:
        raise ValueError(f"{order.data} has no row to evaluate")
    chosen, notes = _measurable(order)
    training = training_curves.curves(order.run) if order.run else []
    cache = measurement.prepared(order.artifact, order.rows)
    model = order.artifact.folder / order.file
    found = measurement.run(model, cache, f"asking {order.file}")
    turned = tta.run(model, cache, found["classes"]) if order.turn else None
    reports = [_endpoint(order, found, turned, one) for one in track(chosen, description="figures and intervals")]
    confused = confusion(found, order.rows)
    told = _json(order, reports, confused, notes)
    figures = [plots.confusion(confused, CLASSES)] if confused.any() else []
    page.write(out, _page(order, reports, notes, [*figures, *training]), told)
    return told


def _measurable(order: Order) -> tuple[list[Endpoint], list[str]]:
    """The endpoints to measure, and why another one is not. Found out before hours of inference."""
    nothing = {name: np.zeros(len(order.rows)) for name in ENDPOINTS}
    if order.endpoint is not None:
        measurement.decide(nothing, order.rows, ENDPOINTS[order.endpoint])
        return [ENDPOINTS[order.endpoint]], []
    chosen, notes = [], []
    for one in ENDPOINTS.values():
        try:
            measurement.decide(nothing, order.rows, one)
            chosen.append(one)
        except ValueError as error:
            notes.append(str(error))
    if not chosen:
        raise ValueError("; ".join(notes))
    return chosen, notes


def _endpoint(order: Order, found: Outputs, turned: Outputs | None, one: Endpoint) -> EndpointReport:
    thresholds = order.artifact.manifest.files[order.file].thresholds
    report = endpoints.report(found, order.rows, one, order.data, thresholds)
    if turned is not None:
        more, changes = endpoints.turning(report, turned, order.rows, order.data)
        report = replace(report, figures=report.figures | more, turning=changes)

    def shown(positive: bool) -> list[thumbnails.Mistake]:
        places = thumbnails.worst(report.decided, positive)
        wanted = order.artifact.manifest.input
        return thumbnails.mistakes(report.decided, places.tolist(), order.rows, found["heatmap"], wanted)

    return replace(report, missed=shown(positive=True), alarms=shown(positive=False))


def confusion(found: Outputs, rows: Sequence[Row]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Over the rows whose diagnosis is known."""
    known = [(index, row.label) for index, row in enumerate(rows) if row.dx in CLASSES]
    labels = np.array([label for _, label in known], dtype=np.int64)
    predicted = found["classes"][[index for index, _ in known]].argmax(1).astype(np.int64)
    return curves.confusion(labels, predicted, len(CLASSES))


def _json(
    order: Order, reports: Sequence[EndpointReport], confused: np.ndarray[Any, np.dtype[np.int64]], notes: Sequence[str]
) -> dict[str, Any]:
    manifest = order.artifact.manifest
    return {
        "figures": page.figures_of(reports),
        "artifact": {
            "name": manifest.name,
            "version": manifest.version,
            "digest": order.artifact.digest,
            "file": order.file,
            "sha256": manifest.files[order.file].sha256,
        },
        "data": {
            "name": order.data,
            "pictures": len(order.rows),
            "groups": len({row.group for row in order.rows}),
            "left_out": {report.endpoint.name: report.left_out for report in reports},
            "coarse_labels": sum(row.dx not in CLASSES for row in order.rows),
        },
        "thresholds": {
            report.endpoint.name: [
                {"name": cut.name, "value": cut.value, "fixed_before": cut.own, "figures": cut.figures}
                for cut in report.cuts
            ]
            for report in reports
        },
        "subgroups": page.subgroups_of(reports),
        "views": _views(reports),
        "confusion": {"classes": CLASSES, "counts_true_by_called": confused.tolist()},
        "notes": list(notes),
    }


def _views(reports: Sequence[EndpointReport]) -> dict[str, Any]:
    """What eight views change, by endpoint and figure; empty when it was not tried."""
    differences: dict[str, Figures] = {
        report.endpoint.name: {
            one.name: {
                "value": one.difference,
                "interval": one.interval,
                "data": f"{len(VIEWS)} views minus 1",
                "n": len(report.decided.p),
            }
            for one in report.turning
        }
        for report in reports
        if report.turning
    }
    return {"number": len(VIEWS), "differences": differences} if differences else {}


def _page(order: Order, reports: list[EndpointReport], notes: list[str], figures: list[plots.Plot]) -> page.Page:
    manifest, rows = order.artifact.manifest, order.rows
    fitted = manifest.calibration
    coarse = sum(row.dx not in CLASSES for row in rows)
    facts = [
        ("classifier", f"{manifest.name} {manifest.version}, file {order.file}"),
        ("SHA-256", manifest.files[order.file].sha256),
        ("pictures", f"{len(rows)} in {len({row.group for row in rows})} lesion or patient groups, {order.data}"),
        ("coarse labels", f"{coarse} pictures name no diagnosis; they count where their label decides the endpoint"),
        ("calibrated on", f"{fitted.data} ({fitted.n} pictures, melanoma {fitted.prevalence:.1%})"),
    ]
    summary = " ".join(
        f"{report.endpoint.name.capitalize()}: AUC {page.told(report.ranking['auc'])}." for report in reports
    )
    return page.Page(
        title=f"{manifest.name} {manifest.version} on {order.data}",
        lead=f"How well the classifier tells {' and '.join(r.endpoint.name for r in reports)} from the rest. {summary}",
        facts=[fact for fact in facts if coarse or fact[0] != "coarse labels"],
        notes=notes,
        endpoints=reports,
        plots=figures,
    )
