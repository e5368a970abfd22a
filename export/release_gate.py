"""The release gate: a candidate replaces the released classifier only when every check passes.

HAM10000 test is not part of it: it is measured once, after the gate, and only reported.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export import held_out
from export.release_check import ReleaseCheck
from models.classifier.calibration import out_of_fold
from models.classifier.calibration.class_scores import melanoma_logit
from models.classifier.calibration.out_of_fold import OutOfFold
from models.classifier.data import table
from models.classifier.data.labels import MALIGNANT, MELANOMA
from models.classifier.evaluation import measurement, statistics, subgroups
from models.classifier.network.networks import Served
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.common.artifact import ArtifactError
from models.common.files import replace_folder

MARGIN = 0.01
"""AUC a candidate may lose: a judgement, small against the width of the intervals."""
SUBGROUP_MARGIN = 0.03
"""The same in the worst subgroup, where intervals are wider."""


@dataclass(frozen=True)
class Compared:
    """The same images judged by both models. new, old: melanoma logits [N]."""

    data: str
    rows: list[table.Row]
    new: statistics.Array
    old: statistics.Array

    def only(self, chosen: NDArray[np.bool_]) -> "Compared":
        """The rows marked True."""
        common = [row for row, selected in zip(self.rows, chosen, strict=True) if selected]
        return replace(self, rows=common, new=self.new[chosen], old=self.old[chosen])

    @property
    def truth(self) -> statistics.Array:
        """1 where melanoma."""
        return np.array([row.melanoma for row in self.rows], np.float64)

    @property
    def groups(self) -> list[str]:
        """Lesion or patient of each image."""
        return [row.group for row in self.rows]


def checks(candidate: ClassifierArtifact, released: ClassifierArtifact, data: Path) -> Iterator[ReleaseCheck]:
    """Run the checks in order.

    Raises ValueError or FileNotFoundError naming missing predictions or data.
    """
    yield _contract(candidate)
    yield _provenance(candidate)
    scores = out_of_fold.read(candidate.folder / out_of_fold.FILE)
    yield from held_out.reproduced(candidate, data)
    yield from held_out.calibrated(candidate, data)
    for compared in (_held_out(scores, candidate, released, data), _isic(candidate, released, data)):
        yield no_worse(compared)
        yield no_worse_in_worst_subgroup(compared)


def _contract(artifact: ClassifierArtifact) -> ReleaseCheck:
    """Run the served file on noise and check its outputs against the artifact contract."""
    model, size = artifact.folder / MODEL_FILE, artifact.manifest.input.size
    noise = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    outputs, alone = measurement.run(model, noise), measurement.run(model, noise[:1])
    missing = [name for name in Served.OUTPUTS if name not in outputs]
    if missing:
        return ReleaseCheck("contract", passed=False, detail=f"the graph has no output {', '.join(missing)}")
    classes, heatmap = outputs["classes"], outputs["heatmap"]
    malignant = classes[:, list(MALIGNANT)].sum(1)
    promises = {
        "every output is finite": all(np.isfinite(values).all() for values in outputs.values()),
        "classes sum to 1": np.allclose(classes.sum(1), 1, atol=1e-3),
        "melanoma is classes.mel": np.allclose(outputs["melanoma"], classes[:, MELANOMA], atol=1e-3),
        "malignant is the sum of its classes": np.allclose(outputs["malignant"], malignant, atol=1e-3),
        "the heat map is within 0 to 1": heatmap.min() >= 0 and heatmap.max() <= 1 + 1e-6,
        "an answer does not depend on its batch": np.allclose(alone["logit"], outputs["logit"][:1], atol=1e-2),
    }
    broken = [promise for promise, true in promises.items() if not true]
    return ReleaseCheck(
        "contract", not broken, "not true: " + "; ".join(broken) if broken else f"{len(outputs)} outputs"
    )


def _provenance(artifact: ClassifierArtifact) -> ReleaseCheck:
    """Check that the manifest records configuration, command, commit and data."""
    provenance = artifact.manifest.provenance
    missing = [name for name in ("config", "command", "commit", "data") if not getattr(provenance, name, None)]
    if missing:
        return ReleaseCheck("provenance", passed=False, detail=f"the manifest's provenance lacks {', '.join(missing)}")
    commit = str(getattr(provenance, "commit", ""))
    if "dirty" in commit:
        return ReleaseCheck(
            "provenance", passed=True, detail=f"commit {commit}: the code had changes in no commit", warns=True
        )
    return ReleaseCheck("provenance", passed=True, detail=f"commit {commit}")


def _held_out(new: OutOfFold, candidate: ClassifierArtifact, released: ClassifierArtifact, data: Path) -> Compared:
    """Out-of-fold predictions of both, on the images that both held out."""
    old = held_out.read(released)
    place = {image: i for i, image in enumerate(old.pictures)}
    common = [i for i, image in enumerate(new.pictures) if image in place and new.rows[i].melanoma is not None]
    if not common:
        raise ArtifactError("candidate and released model held out no image in common: nothing can be compared")
    released_indices = [place[new.pictures[i]] for i in common]
    rows_with_files = held_out.rows_of_images(new, common, candidate, data)
    return Compared(
        "held out by both",
        [rows_with_files.get(i, new.rows[i]) for i in common],  # the file has no age, sex or site
        melanoma_logit(held_out.calibration_of(candidate).apply(new.scores[common])),
        melanoma_logit(held_out.calibration_of(released).apply(old.scores[released_indices])),
    )


def _isic(candidate: ClassifierArtifact, released: ClassifierArtifact, data: Path) -> Compared:
    """Both served files on ISIC 2017 test."""
    rows = measurement.released_rows(data, "isic2017", "test")
    new, old = (measurement.outputs(artifact, rows)["logit"].astype(np.float64) for artifact in (candidate, released))
    return Compared("ISIC 2017 test", rows, new, old)


def no_worse(compared: Compared) -> ReleaseCheck:
    """Melanoma AUC on all images."""
    difference, interval = statistics.paired(
        statistics.METRICS["auc"], compared.truth, compared.new, compared.old, compared.groups
    )
    return _verdict(f"AUC, {compared.data}", difference, interval, MARGIN)


def no_worse_in_worst_subgroup(compared: Compared) -> ReleaseCheck:
    """Melanoma AUC where the candidate is weakest."""
    parts = {name: compared.only(chosen) for name, chosen in large_enough(compared.rows).items()}
    auc = statistics.METRICS["auc"]
    worst = min(parts, key=lambda name: auc(parts[name].truth, parts[name].new), default=None)
    if worst is None:
        return ReleaseCheck(
            f"worst subgroup, {compared.data}", passed=True, detail="no subgroup is large enough to compare"
        )
    part = parts[worst]
    difference, interval = statistics.paired(auc, part.truth, part.new, part.old, part.groups)
    return _verdict(f"worst subgroup ({worst}), {compared.data}", difference, interval, SUBGROUP_MARGIN)


def _verdict(name: str, difference: float, interval: tuple[float, float], margin: float) -> ReleaseCheck:
    """Refused when surely worse (the interval lies below 0), or worse by more than the margin."""
    low, high = interval
    passed = high >= 0 and difference >= -margin
    return ReleaseCheck(name, passed, f"{difference:+.3f} ({low:+.3f} to {high:+.3f}), may lose {margin}")


def large_enough(rows: list[table.Row]) -> dict[str, NDArray[np.bool_]]:
    """Ages, sexes, sites and skin types with enough melanomas and others to be compared."""
    truth = np.array([bool(row.melanoma) for row in rows])
    attributes = [subgroups.attributes(row) for row in rows]
    subgroup_masks = {}
    for attribute in attributes[0]:
        values = np.array([one[attribute] for one in attributes])
        for value in sorted(set(values.tolist()) - {subgroups.UNKNOWN}):
            chosen = values == value
            if min(truth[chosen].sum(), (~truth[chosen]).sum()) >= subgroups.MINIMUM:
                subgroup_masks[f"{attribute} {value}"] = chosen
    return subgroup_masks


def install(candidate: Path, released: Path) -> None:
    """Replace the released model by a copy of the candidate in one step."""
    unfinished = released.with_name(released.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(candidate, unfinished)
    ClassifierArtifact.load(unfinished)
    replace_folder(unfinished, released)
