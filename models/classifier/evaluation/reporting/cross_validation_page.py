"""The report of a cross-validation: figures on the out-of-fold predictions, calibrated on the other folds."""

from pathlib import Path
from typing import Any

from models.classifier.data.labels import CLASSES
from models.classifier.evaluation import cross_validation
from models.classifier.evaluation.cross_validation import Plan, Scores
from models.classifier.evaluation.reporting import endpoint as endpoints
from models.classifier.evaluation.reporting import page, plots, training_curves
from models.classifier.evaluation.reporting.evaluation_page import ENDPOINTS, confusion

JSON = "cross_validation.json"


def write(made: Plan, scores: Scores, out: Path, ensemble: int | None = None) -> dict[str, Any]:
    """Write OUT/report.html and OUT/cross_validation.json, return the latter. `ensemble`: how many folds to name."""
    found = cross_validation.calibrated(made, scores)
    data = f"out-of-fold predictions of {' and '.join(sorted({row.source for row in made.rows}))}"
    reports, notes = [], []
    for one in ENDPOINTS.values():
        try:
            reports.append(endpoints.report(found, made.rows, one, data, {}))
        except ValueError as error:  # sets that leave `malignant` open; melanoma was checked when the plan was made
            notes.append(str(error))
    folds = cross_validation.by_fold(made, found)
    aucs = {f"fold {fold['fold']}": fold["auc"] for fold in folds}
    for report in reports:
        aucs[f"{report.endpoint.name}, all folds together,"] = report.ranking["auc"]["value"]
    leaks = cross_validation.leak_warnings(aucs)
    told: dict[str, Any] = {
        "figures": page.figures_of(reports),
        "folds": folds,
        "subgroups": page.subgroups_of(reports),
        "warnings": leaks,
        "notes": notes,
    }
    if ensemble is not None:
        best = [cross_validation.folder_of(Path(), fold["fold"]).name for fold in folds[:ensemble]]
        told["ensemble"] = {"members": best, "chosen_by": "melanoma AUC of the fold each has not seen"}
    columns = ["fold", "pictures", "melanomas", "melanoma AUC"]
    rows = [[str(one["fold"]), str(one["n"]), str(one["melanoma"]), f"{one['auc']:.3f}"] for one in folds]
    content = page.Page(
        title=f"Cross-validation of {made.config.backbone}",
        lead=f"Each picture is judged by a network that has not seen its lesion or patient. {len(folds)} folds.",
        facts=[
            ("pictures", f"{len(made.rows)} in {len({row.group for row in made.rows})} lesion or patient groups"),
            ("data", data + "; no test row, and nothing that shares a group with one"),
            ("calibration", "each fold's probabilities are calibrated on the other folds"),
        ],
        notes=[*leaks, *notes],
        endpoints=reports,
        plots=[plots.confusion(confusion(found, made.rows), CLASSES), *_training(made, out)],
        tables=[("Folds, the best first", columns, rows)],
    )
    page.write(out, content, told, JSON)
    return told


def _training(made: Plan, out: Path) -> list[plots.Plot]:
    """The best thing to look at when a fold is odd; a run that kept no log has none."""
    logs = [cross_validation.folder_of(out, number) / training_curves.FILE for number in made.numbers]
    return [plot for log in logs[:1] if log.is_file() for plot in training_curves.curves(log)]
