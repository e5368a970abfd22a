"""What a release is worth, measured on the exported file: over all, and by subgroup."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.classifier.data import table
from models.classifier.data.labels import MELANOMA
from models.classifier.evaluation import measurement, statistics, subgroups
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.classifier.training import folds
from models.classifier.training.config import TrainConfig, expand

BOTH = (measurement.MELANOMA_ENDPOINT, measurement.MALIGNANT_ENDPOINT)
SETS = (
    ("ham10000", "test", BOTH),
    ("isic2017", "test", (measurement.MELANOMA_ENDPOINT,)),
    ("pad_ufes_20", "train", (measurement.MALIGNANT_ENDPOINT,)),
)
"""(source, split, endpoints) that a release is measured on; its subgroups by the first endpoint."""
THRESHOLDS = {"melanoma": "sensitivity_95", "malignant": "malignant_sensitivity_95"}
PROBED = ("ham10000", "isic2017")


@dataclass(frozen=True)
class ReleaseFigures:
    """`figures` by name; `subgroups` as the manifest keeps them; `skipped`: sentences on what was not measured."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    subgroups: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Set:
    """Pictures on which a release is measured; `problem` says why there are none."""

    name: str
    rows: list[table.Row]
    endpoints: Sequence[measurement.Endpoint]
    problem: str = ""


def check_data(config: TrainConfig, data_dir: Path) -> None:
    """Raise FileNotFoundError or ValueError now rather than after hours of training, if a set is missing.

    A plan with a table of its own is measured on what there is.
    """
    for source, split, _ in SETS if config.table is None else ():
        measurement.released_rows(data_dir, source, split)


def measure_release(folder: Path, data_dir: Path) -> ReleaseFigures:
    """Figures on HAM10000 test, ISIC 2017 test, PAD photographs and the test rows of the plan's own table."""
    artifact, found = ClassifierArtifact.load(folder), ReleaseFigures()
    learned = learned_groups(folder, data_dir)
    for part in _sets(_plan(folder), data_dir):
        rows = [row for row in part.rows if row.group not in learned]
        if not rows:
            problem = part.problem or "the training has seen every lesion or patient of it"
            found.skipped.append(f"{part.name}: {problem}")
            continue
        outputs = measurement.outputs(artifact, rows)
        for endpoint in part.endpoints:
            try:
                decided = measurement.decide(outputs, rows, endpoint)
            except ValueError as error:
                found.skipped.append(f"{part.name}: {error}")
                continue
            measured = measurement.figures(statistics.METRICS, decided, part.name, endpoint.name + "_")
            found.figures.update({f"{part.name.replace(' ', '_')}_{name}": one for name, one in measured.items()})
            if endpoint is part.endpoints[0]:
                found.subgroups.extend(_subgroups(artifact, endpoint, decided, rows, part.name))
    found.figures.update(_shortcut(artifact, data_dir))
    return found


def _sets(config: TrainConfig, data_dir: Path) -> Iterator[Set]:
    for source, split, endpoints in SETS:
        name = f"{source} {split}"
        try:
            yield Set(name, measurement.released_rows(data_dir, source, split), endpoints)
        except FileNotFoundError:
            yield Set(name, [], endpoints, "not in the data folder")
        except ValueError as error:
            yield Set(name, [], endpoints, str(error))
    if config.table is None:
        return
    tests = [row for row in table.read_csv(expand(config.table)) if row.split == "test"]
    own = sorted({row.source for row in tests} - {source for source, _, _ in SETS})
    for source in own:
        yield Set(f"{source} test", [row for row in tests if row.source == source], BOTH)
    if not own:
        yield Set(f"{Path(config.table).name} test", [], BOTH, "the table has no rows of its own with split = test")


def _plan(folder: Path) -> TrainConfig:
    return TrainConfig.model_validate(json.loads((folder / "manifest.json").read_text())["training"])


def learned_groups(folder: Path, data_dir: Path) -> set[str]:
    """Lesions and patients that the artifact's training has seen: none of them may count in a figure."""
    config, provenance = _plan(folder), ClassifierArtifact.load(folder).manifest.provenance
    everything = provenance is not None and provenance.cross_validated  # its networks have learned all folds
    learned = folds.rows(config, data_dir) if everything else folds.make_folds(config, data_dir).train
    return {row.group for row in learned}


def _subgroups(
    artifact: ClassifierArtifact,
    endpoint: measurement.Endpoint,
    decided: measurement.Decided,
    rows: Sequence[table.Row],
    data: str,
) -> list[dict[str, Any]]:
    """Age, sex, site and skin type, at the shipped threshold where the manifest has one."""
    wanted = {"auc": statistics.METRICS["auc"]}
    cut = artifact.manifest.files[MODEL_FILE].thresholds.get(THRESHOLDS[endpoint.name])
    if cut is not None:
        at = statistics.at_threshold(cut.value)
        wanted |= {name: at[name] for name in ("sensitivity", "specificity")}
    parts = subgroups.measure(wanted, decided, rows, data)
    return [
        asdict(part)
        | {"data": data, "endpoint": endpoint.name}
        | {"figures": {name: {key: one[key] for key in ("value", "interval")} for name, one in part.figures.items()}}
        for attribute, found in parts.items()
        if attribute != "source"
        for part in found
    ]


def _shortcut(artifact: ClassifierArtifact, data_dir: Path) -> dict[str, dict[str, Any]]:
    """How well a linear probe on the embedding tells the set, and melanoma: the first should not be the better.

    Nothing where one of the two sets is not there, or too few lesions or patients are on a side of either question.
    """
    try:
        rows = [row for source in PROBED for row in measurement.released_rows(data_dir, source, "test")]
    except (FileNotFoundError, ValueError):
        return {}
    groups = [row.group for row in rows]
    targets = {
        "probe_set_auc": np.array([row.source == "isic2017" for row in rows]),
        "probe_melanoma_auc": np.array([row.label == MELANOMA for row in rows]),
    }
    if any(_fewest(target, groups) < subgroups.MINIMUM for target in targets.values()):
        return {}
    embedding = measurement.outputs(artifact, rows)["embedding"]
    figures = {}
    for name, target in targets.items():
        p = statistics.probe(embedding, target, groups)
        value, interval = statistics.bootstrap(statistics.METRICS["auc"], target.astype(np.float64), p, groups)
        figures[name] = {"value": value, "interval": interval, "data": "ham10000 and isic2017 test", "n": len(rows)}
    return figures


def _fewest(target: NDArray[np.bool_], groups: Sequence[str]) -> int:
    """Lesions or patients on the smaller side."""
    sides = [{group for group, positive in zip(groups, target, strict=True) if positive == side} for side in (0, 1)]
    return min(len(side) for side in sides)
