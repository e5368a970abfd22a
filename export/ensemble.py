"""Load finished runs as one network: alone, or averaged in one graph."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn

from models.classifier.data.table import Row
from models.classifier.network import initial_weights, networks
from models.classifier.training import learned
from models.classifier.training.config import TrainConfig
from models.classifier.training.learned import Learned
from models.common.artifact import sha256

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class Loaded:
    """One network, or several averaged. backbones: names in the order of `runs`; sha256: of all their weights.

    learned: training data of each run, None where its file has no record.
    """

    network: nn.Module
    runs: tuple[Path, ...]
    backbones: tuple[str, ...]
    sizes: tuple[int, ...]
    sha256: str
    learned: tuple[Learned | None, ...]


def load(runs: Sequence[Path]) -> Loaded:
    """From the folders that `melalog train classifier` wrote. Raises ValueError naming an unusable run."""
    members, abouts = [], []
    for run in runs:
        path = run / WEIGHTS
        if not path.is_file():
            raise ValueError(f"{run} is not a finished run: there is no {path}")
        state, about = initial_weights.read(path)
        if "backbone" not in about:
            raise ValueError(f"{path} does not name its network: train with `melalog train classifier`")
        network = networks.build(
            about["backbone"],
            pad_type=about["pad_type"],
            normalisation=cast("networks.Normalisation", about["normalisation"]),
        )
        initial_weights.fill(network, state, str(path), about["backbone"])
        members.append(network.eval())
        abouts.append(about)
    digest = hashlib.sha256("".join(sha256(run / WEIGHTS) for run in runs).encode()).hexdigest()
    return Loaded(
        network=members[0] if len(members) == 1 else networks.Ensemble(members).eval(),
        runs=tuple(runs),
        backbones=tuple(about["backbone"] for about in abouts),
        sizes=tuple(int(about["size"]) for about in abouts),
        sha256=digest,
        learned=tuple(learned.read(about) for about in abouts),
    )


def check(loaded: Loaded, config: TrainConfig, calibration: Sequence[Row], *, trust_plan: bool = False) -> None:
    """Raise ValueError, naming run and plan, when a run is of another plan or was trained on calibration rows.

    calibration: rows no network may have been trained on; empty when out-of-fold predictions replace them.
    trust_plan: accept the plan for a run without a record of its training data.
    """
    for run, size, record in zip(loaded.runs, loaded.sizes, loaded.learned, strict=True):
        if size != config.input_size:
            raise ValueError(f"{run} was trained for images of {size} px, and the plan says {config.input_size} px")
        if record is None:
            if not trust_plan:
                raise ValueError(
                    f"{run} does not say what it learned from: it was trained before this was recorded. If it was "
                    "trained with this plan, so that it knows no image of the calibration fold, add --trust-plan"
                )
            continue
        for key in ("geometry", "resample"):
            trained, planned = record.plan.get(key), getattr(config, key)
            if trained != planned:
                raise ValueError(f"{run} was trained with {key} {trained}, and the plan says {planned}")
        _check_groups(run, record, config, calibration)


def _check_groups(run: Path, known: Learned, config: TrainConfig, calibration: Sequence[Row]) -> None:
    overlap = known.of(calibration)
    if overlap:
        total = len({row.group for row in calibration})
        raise ValueError(
            f"{run} has learned from {len(overlap)} of the {total} lesions or patients "
            f"that it would be calibrated on (fold_seed {known.plan.get('fold_seed')} there, {config.fold_seed} in the "
            "plan): its probabilities would look better than they are. Name the plan it was trained with, or for the "
            "networks of `melalog cross-validate` their out_of_fold.csv with --out-of-fold"
        )
