"""What a candidate's own files say of real pictures that were held out, and whether its stored scores are its own."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from export import variants
from export.gate_check import Check
from models.classifier.calibration import out_of_fold
from models.classifier.calibration.class_scores import Array, Calibration
from models.classifier.calibration.out_of_fold import OutOfFold
from models.classifier.data import table
from models.classifier.data.labels import MELANOMA
from models.classifier.evaluation import measurement, statistics
from models.classifier.serving.artifact import MODEL_FILE, Artifact, ArtifactError, Provenance, sha256
from models.classifier.training import folds
from models.classifier.training.config import TrainConfig

MAX_ECE = 0.05
MOST = 1500
"""Pictures on which the calibration of a file is measured; more change little and take long."""
SAMPLE = 64
"""Stored scores that are computed again from their pictures."""
TOLERANCE = 0.01
"""Of a probability: decoders and processors differ a little."""
SERVED = "served_scores.csv"
"""Scores of the exported network itself, where `out_of_fold.csv` holds those of the networks of the folds."""


def told(artifact: Artifact) -> Provenance:
    """The manifest's provenance, empty where there is none."""
    return artifact.manifest.provenance or Provenance()


def stated(artifact: Artifact) -> Calibration:
    """The calibration that the manifest says is inside the graph."""
    fitted = json.loads((artifact.folder / "manifest.json").read_text())["calibration"]
    return Calibration(
        fitted["temperature"], tuple(fitted["bias"]), fitted.get("slope", 1.0), fitted.get("offset", 0.0)
    )


def plan(artifact: Artifact) -> TrainConfig:
    """The plan whose folds the artifact has. Raises ValueError for another training's manifest."""
    return TrainConfig.model_validate(json.loads((artifact.folder / "manifest.json").read_text())["training"])


def read(artifact: Artifact) -> OutOfFold:
    """Held-out scores of a released model. Raises ArtifactError when they are not those it was released with."""
    known = told(artifact).out_of_fold_sha256
    file = artifact.folder / out_of_fold.FILE
    if known and file.is_file() and sha256(file) != known:
        raise ArtifactError(f"{file} is not the file that was released: its SHA-256 differs from the manifest")
    return out_of_fold.read(file)


def pictures_of(kept: OutOfFold, chosen: Sequence[int], artifact: Artifact, data: Path) -> dict[int, table.Row]:
    """Rows of the plan's data, with their files, for entries of a file of scores; without those not found there."""
    groups = {kept.rows[i].group for i in chosen}
    known = {sha256(row.path): row for row in folds.rows(plan(artifact), data) if row.group in groups}
    return {i: known[kept.pictures[i]] for i in chosen if kept.pictures[i] in known}


def reproduced(artifact: Artifact, data: Path) -> Iterator[Check]:
    """The stored scores belong to this artifact: by their hash, and because the served file gives them again."""
    provenance = told(artifact)
    hashes = {out_of_fold.FILE: provenance.out_of_fold_sha256}
    if provenance.cross_validated:
        hashes[SERVED] = provenance.served_scores_sha256
    for name, wanted in hashes.items():
        if not wanted:
            detail = f"the manifest's provenance has no hash of {name}: make it anew with `melalog export classifier`"
            yield Check("held-out scores", passed=False, detail=detail)
            return
        if not (artifact.folder / name).is_file() or sha256(artifact.folder / name) != wanted:
            detail = f"{name} is not the file that was exported: its SHA-256 differs from the manifest"
            yield Check("held-out scores", passed=False, detail=detail)
            return
    if provenance.cross_validated:
        detail = f"those of {out_of_fold.FILE} are of the folds' networks and are not computed again; {SERVED} is"
        yield Check("held-out scores", passed=True, detail=detail)
    yield _again(artifact, data, SERVED if provenance.cross_validated else out_of_fold.FILE)


def _again(artifact: Artifact, data: Path, name: str) -> Check:
    """Probabilities of the file, and those that the manifest's calibration makes of its stored scores."""
    kept = out_of_fold.read(artifact.folder / name)
    some = pictures_of(kept, _thin(len(kept.rows), SAMPLE), artifact, data)
    if not some:
        return Check("scores computed again", passed=False, detail=f"no picture of {name} is among the plan's data")
    expected = softmax(stated(artifact).apply(kept.scores[list(some)]), axis=1)
    found = measurement.outputs(artifact, list(some.values()))["classes"]
    difference = float(np.abs(found - expected).max())
    detail = (
        f"{MODEL_FILE} and {name} with the manifest's calibration differ by {difference:.4f} at most, "
        f"on {len(some)} pictures, allowed is {TOLERANCE}"
    )
    return Check("scores computed again", bool(difference <= TOLERANCE), detail)


def calibrated(artifact: Artifact, data: Path) -> Iterator[Check]:
    """ECE of what is served; of the out-of-fold predictions where the served networks have learned every fold.

    Raises ValueError where the manifest's plan gives other rows, in this data folder, than those that were learned.
    """
    if told(artifact).cross_validated:
        yield _of_predictions(artifact)
        return
    rows = [row for row in variants.folds(artifact, data).calibration if row.melanoma is not None]
    rows = [rows[i] for i in _thin(len(rows), MOST)]
    truth = np.array([row.melanoma for row in rows], np.float64)
    cache = measurement.prepared(artifact, rows)
    for name in dict.fromkeys((MODEL_FILE, artifact.manifest.default)):
        p = measurement.run(artifact.folder / name, cache)["melanoma"].astype(np.float64)
        yield _ece(truth, p, f"{name} itself on {len(rows)} pictures of the fold it was calibrated on")


def _of_predictions(artifact: Artifact) -> Check:
    kept, source = read(artifact), plan(artifact).calibration_source
    known = np.array([row.melanoma is not None and source in (None, row.source) for row in kept.rows])
    if not known.any():
        return Check("calibration", passed=False, detail=f"{out_of_fold.FILE} has no picture of {source}")
    p = softmax(stated(artifact).apply(kept.scores[known]), axis=1)[:, MELANOMA]
    truth = np.array([bool(row.melanoma) for row in kept.rows], np.float64)[known]
    number = len(set(kept.folds.tolist()))
    return _ece(truth, p, f"{known.sum()} out-of-fold predictions of {number} folds, on which it was fitted")


def _ece(truth: Array, p: Array, where: str) -> Check:
    ece = statistics.expected_calibration_error(truth, p)
    return Check("calibration", bool(ece <= MAX_ECE), f"ECE {ece:.3f} of {where}; allowed is {MAX_ECE}")


def _thin(n: int, most: int) -> list[int]:
    """At most so many of n, evenly spread."""
    return sorted(set(np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist()))
