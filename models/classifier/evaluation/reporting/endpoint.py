"""Everything that is said of one endpoint: figures, threshold table, curves, subgroups, and whether turning helps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.classifier.data.table import Row
from models.classifier.evaluation import curves, statistics, subgroups
from models.classifier.evaluation.measurement import Decided, Endpoint, Figures, Outputs, decide, figures
from models.classifier.evaluation.reporting import plots
from models.classifier.evaluation.reporting.thumbnails import Mistake
from models.classifier.evaluation.subgroups import Subgroup
from models.common.artifact import Threshold
from models.common.views import VIEWS

HALF = "one_half"
ON_THESE = (0.8, 0.9, 0.95, 0.99)
RANKING = {**statistics.METRICS, "partial_auc_above_80_sensitivity": statistics.PARTIAL_AUC}


@dataclass(frozen=True)
class Cut:
    """A threshold and the figures of the decision there. `own`: it was fixed before these pictures were seen."""

    name: str
    label: str
    value: float
    own: bool
    figures: Figures


@dataclass(frozen=True)
class Turning:
    """A figure from one view and from eight, and the paired difference."""

    name: str
    plain: float
    turned: float
    difference: float
    interval: statistics.Interval


@dataclass(frozen=True)
class EndpointReport:
    """One endpoint on one set of pictures."""

    endpoint: Endpoint
    decided: Decided
    left_out: int
    figures: Figures
    cuts: list[Cut]
    plots: list[plots.Plot]
    subgroups: dict[str, list[Subgroup]]
    turning: list[Turning] = field(default_factory=list)
    missed: list[Mistake] = field(default_factory=list)
    alarms: list[Mistake] = field(default_factory=list)

    @property
    def positives(self) -> int:
        """How many pictures are what is looked for."""
        return int(self.decided.truth.sum())

    @property
    def groups(self) -> int:
        """How many lesions, or patients."""
        return len(set(self.decided.groups))

    @property
    def ranking(self) -> Figures:
        """The figures that need no threshold of the artifact."""
        return {name: self.figures[f"{self.endpoint.name}_{name}"] for name in RANKING}


def report(
    found: Outputs, rows: Sequence[Row], endpoint: Endpoint, data: str, thresholds: Mapping[str, Threshold]
) -> EndpointReport:
    """Measure one endpoint. Raises ValueError when the pictures hold one class alone."""
    decided = decide(found, rows, endpoint)
    cuts = _cuts(decided, _own(endpoint, thresholds), data)
    prefix = endpoint.name + "_"
    own = {
        f"{prefix}{name}_at_threshold_{cut.name}": figure
        for cut in cuts
        if cut.own
        for name, figure in cut.figures.items()
    }
    return EndpointReport(
        endpoint=endpoint,
        decided=decided,
        left_out=len(rows) - len(decided.rows),
        figures=figures(RANKING, decided, data, prefix) | own,
        cuts=cuts,
        plots=_plots(endpoint.name, decided, cuts),
        subgroups=subgroups.measure(_subgroup_metrics(cuts[0].value), decided, rows, data),
    )


def _own(endpoint: Endpoint, thresholds: Mapping[str, Threshold]) -> dict[str, float]:
    """The artifact's thresholds for this endpoint: those of `malignant` are named so, the others are for melanoma."""
    mine = {
        name: threshold.value
        for name, threshold in thresholds.items()
        if name.startswith("malignant") == (endpoint.name == "malignant")
    }
    return {**mine, HALF: 0.5}


def _cuts(decided: Decided, own: Mapping[str, float], data: str) -> list[Cut]:
    """The artifact's thresholds, one half, and what these pictures would have asked for."""
    here = {
        f"{share:.0%} sensitivity here": statistics.threshold_at_sensitivity(decided.truth, decided.p, share)
        for share in ON_THESE
    }
    labels = {name: "one half" if name == HALF else f"the artifact's {name.replace('_', ' ')}" for name in own}
    values = {**own, **here}
    wanted = {
        f"{name}/{metric}": of
        for name, value in values.items()
        for metric, of in statistics.at_threshold(value).items()
    }
    measured = figures(wanted, decided, data)
    return [
        Cut(
            name=name,
            label=labels.get(name, name),
            value=value,
            own=name in own,
            figures={
                full.removeprefix(name + "/"): figure
                for full, figure in measured.items()
                if full.startswith(name + "/")
            },
        )
        for name, value in values.items()
    ]


def _subgroup_metrics(cut: float) -> dict[str, statistics.Metric]:
    at = statistics.at_threshold(cut)
    return {"auc": statistics.METRICS["auc"], "sensitivity": at["sensitivity"], "specificity": at["specificity"]}


def _plots(name: str, decided: Decided, cuts: Sequence[Cut]) -> list[plots.Plot]:
    truth, p, groups = decided.truth, decided.p, decided.groups
    points = [
        (cut.label, 1 - cut.figures["specificity"]["value"], cut.figures["sensitivity"]["value"])
        for cut in cuts
        if cut.own
    ]
    prevalence = float(truth.mean())
    return [
        plots.roc(name, curves.roc(truth, p, groups), points),
        plots.precision_recall(name, curves.precision_recall(truth, p, groups), prevalence),
        plots.reliability(name, curves.reliability(truth, p, groups), p),
        plots.decision(name, curves.decision(truth, p, groups), prevalence),
    ]


def turning(plain: EndpointReport, found: Outputs, rows: Sequence[Row], data: str) -> tuple[Figures, list[Turning]]:
    """The figures with eight views, and what they change."""
    endpoint, one = plain.endpoint, plain.decided
    eight = decide(found, rows, endpoint)
    measured = figures(RANKING, eight, f"{data}, {len(VIEWS)} views", f"{endpoint.name}_{len(VIEWS)}_views_")
    changes = []
    for name, metric in RANKING.items():
        difference, interval = statistics.paired(metric, one.truth, eight.p, one.p, one.groups)
        changes.append(Turning(name, metric(one.truth, one.p), metric(one.truth, eight.p), difference, interval))
    return measured, [change for change in changes if np.isfinite(change.difference)]
