"""Release checks on held-out images: the stored scores are the candidate's own, and its calibration is accurate."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from export import variants
from export.release_check import ReleaseCheck
from models.classifier.calibration import out_of_fold
from models.classifier.calibration.class_scores import Array, ScoreCalibration
from models.classifier.calibration.out_of_fold import OutOfFold
from models.classifier.data import table
from models.classifier.data.labels import MELANOMA
from models.classifier.evaluation import measurement, statistics
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact, Provenance
from models.classifier.training import folds
from models.classifier.training.config import TrainConfig
from models.common.artifact import ArtifactError, sha256

MAX_ECE = 0.05
MOST = 1500
"""Largest number of images to measure the calibration of a file on."""
SAMPLE = 64
"""Number of stored scores that are computed again from their images."""
TOLERANCE = 0.01
"""Largest difference of a probability: decoders and processors differ a little."""
SERVED = "served_scores.csv"
"""Scores of the exported network, when `out_of_fold.csv` has those of the folds' networks."""


def provenance_of(artifact: ClassifierArtifact) -> Provenance:
    """The manifest's provenance, empty when it has none."""
    return artifact.manifest.provenance or Provenance()


def calibration_of(artifact: ClassifierArtifact) -> ScoreCalibration:
    """The calibration that the manifest declares for the graph."""
    fitted = json.loads((artifact.folder / "manifest.json").read_text())["calibration"]
    return ScoreCalibration(
        fitted["temperature"], tuple(fitted["bias"]), fitted.get("slope", 1.0), fitted.get("offset", 0.0)
    )


def plan(artifact: ClassifierArtifact) -> TrainConfig:
    """The training plan in the manifest. Raises ValueError when it cannot be read."""
    return TrainConfig.model_validate(json.loads((artifact.folder / "manifest.json").read_text())["training"])


def read(artifact: ClassifierArtifact) -> OutOfFold:
    """Held-out scores of a released model. Raises ArtifactError when they are not those it was released with."""
    expected = provenance_of(artifact).out_of_fold_sha256
    file = artifact.folder / out_of_fold.FILE
    if expected and file.is_file() and sha256(file) != expected:
        raise ArtifactError(f"{file} is not the file that was released: its SHA-256 differs from the manifest")
    return out_of_fold.read(file)


def rows_of_images(
    stored: OutOfFold, chosen: Sequence[int], artifact: ClassifierArtifact, data: Path
) -> dict[int, table.Row]:
    """Rows of the plan's data by index of a scores file; entries without a file are left out."""
    groups = {stored.rows[i].group for i in chosen}
    rows_by_digest = {sha256(row.path): row for row in folds.rows(plan(artifact), data) if row.group in groups}
    return {i: rows_by_digest[stored.pictures[i]] for i in chosen if stored.pictures[i] in rows_by_digest}


def reproduced(artifact: ClassifierArtifact, data: Path) -> Iterator[ReleaseCheck]:
    """Verify the stored scores: by their hash, and by computing some again with the served file."""
    provenance = provenance_of(artifact)
    hashes = {out_of_fold.FILE: provenance.out_of_fold_sha256}
    if provenance.cross_validated:
        hashes[SERVED] = provenance.served_scores_sha256
    for name, expected in hashes.items():
        if not expected:
            detail = f"the manifest's provenance has no hash of {name}: make it anew with `melalog export classifier`"
            yield ReleaseCheck("held-out scores", passed=False, detail=detail)
            return
        if not (artifact.folder / name).is_file() or sha256(artifact.folder / name) != expected:
            detail = f"{name} is not the file that was exported: its SHA-256 differs from the manifest"
            yield ReleaseCheck("held-out scores", passed=False, detail=detail)
            return
    if provenance.cross_validated:
        detail = f"those of {out_of_fold.FILE} are of the folds' networks and are not computed again; {SERVED} is"
        yield ReleaseCheck("held-out scores", passed=True, detail=detail)
    yield _again(artifact, data, SERVED if provenance.cross_validated else out_of_fold.FILE)


def _again(artifact: ClassifierArtifact, data: Path, name: str) -> ReleaseCheck:
    """Compare the file's probabilities with the stored scores under the manifest's calibration."""
    stored = out_of_fold.read(artifact.folder / name)
    some = rows_of_images(stored, _thin(len(stored.rows), SAMPLE), artifact, data)
    if not some:
        return ReleaseCheck(
            "scores computed again", passed=False, detail=f"no image of {name} is among the plan's data"
        )
    expected = softmax(calibration_of(artifact).apply(stored.scores[list(some)]), axis=1)
    computed = measurement.outputs(artifact, list(some.values()))["classes"]
    difference = float(np.abs(computed - expected).max())
    detail = (
        f"{MODEL_FILE} and {name} with the manifest's calibration differ by {difference:.4f} at most, "
        f"on {len(some)} images, allowed is {TOLERANCE}"
    )
    return ReleaseCheck("scores computed again", bool(difference <= TOLERANCE), detail)


def calibrated(artifact: ClassifierArtifact, data: Path) -> Iterator[ReleaseCheck]:
    """ECE of the served files, or of the out-of-fold predictions when the served networks were trained on every fold.

    Raises ValueError when the manifest's plan and this data folder give other training rows.
    """
    if provenance_of(artifact).cross_validated:
        yield _of_predictions(artifact)
        return
    rows = [row for row in variants.folds(artifact, data).calibration if row.melanoma is not None]
    rows = [rows[i] for i in _thin(len(rows), MOST)]
    truth = np.array([row.melanoma for row in rows], np.float64)
    cache = measurement.prepared(artifact, rows)
    for name in dict.fromkeys((MODEL_FILE, artifact.manifest.default)):
        p = measurement.run(artifact.folder / name, cache)["melanoma"].astype(np.float64)
        yield _ece(truth, p, f"{name} itself on {len(rows)} images of the fold it was calibrated on")


def _of_predictions(artifact: ClassifierArtifact) -> ReleaseCheck:
    stored, source = read(artifact), plan(artifact).calibration_source
    labelled = np.array([row.melanoma is not None and source in (None, row.source) for row in stored.rows])
    if not labelled.any():
        return ReleaseCheck("calibration", passed=False, detail=f"{out_of_fold.FILE} has no image of {source}")
    p = softmax(calibration_of(artifact).apply(stored.scores[labelled]), axis=1)[:, MELANOMA]
    truth = np.array([bool(row.melanoma) for row in stored.rows], np.float64)[labelled]
    number = len(set(stored.folds.tolist()))
    return _ece(truth, p, f"{labelled.sum()} out-of-fold predictions of {number} folds, on which it was fitted")


def _ece(truth: Array, p: Array, where: str) -> ReleaseCheck:
    ece = statistics.expected_calibration_error(truth, p)
    return ReleaseCheck("calibration", bool(ece <= MAX_ECE), f"ECE {ece:.3f} of {where}; allowed is {MAX_ECE}")


def _thin(n: int, most: int) -> list[int]:
    """At most `most` indices of n, evenly spaced."""
    return sorted(set(np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist()))
