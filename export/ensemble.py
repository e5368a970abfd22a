"""Finished runs as one network: what several have learned, in one graph."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn

from models.classifier.data.table import Row
from models.classifier.network import initial_weights, networks
from models.classifier.serving.artifact import sha256
from models.classifier.training import learned
from models.classifier.training.config import TrainConfig
from models.classifier.training.learned import Learned

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class Loaded:
    """One network, or several averaged. backbones: names in the order of `runs`; sha256: of all their weights.

    learned: what each has learned from, None where its file does not say.
    """

    network: nn.Module
    runs: tuple[Path, ...]
    backbones: tuple[str, ...]
    sizes: tuple[int, ...]
    sha256: str
    learned: tuple[Learned | None, ...]


def load(runs: Sequence[Path]) -> Loaded:
    """From the folders that `melalog train classifier` wrote. Raises ValueError naming the run that does not serve."""
    members, abouts = [], []
    for run in runs:
        path = run / WEIGHTS
        if not path.is_file():
            raise ValueError(f"{run} is no finished run: there is no {path}")
        state, about = initial_weights.read(path)
        if "backbone" not in about:
            raise ValueError(f"{path} does not say of which network it is: train with `melalog train classifier`")
        made = networks.build(
            about["backbone"],
            pad_type=about["pad_type"],
            normalisation=cast("networks.Normalisation", about["normalisation"]),
        )
        initial_weights.fill(made, state, str(path), about["backbone"])
        members.append(made.eval())
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
    """Raise ValueError, naming run and plan, where a run is not of the plan, or knows what it would be calibrated on.

    calibration: rows no network may have learned from; none where out-of-fold predictions stand for them.
    trust_plan: believe the plan for a run that does not say what it learned from.
    """
    for run, size, known in zip(loaded.runs, loaded.sizes, loaded.learned, strict=True):
        if size != config.input_size:
            raise ValueError(f"{run} was trained for pictures of {size} px, and the plan says {config.input_size} px")
        if known is None:
            if not trust_plan:
                raise ValueError(
                    f"{run} does not say what it learned from: it was trained before that was kept. If you know that "
                    "it was trained with this plan, and so knows no picture of the calibration fold, add --trust-plan"
                )
            continue
        for key in ("geometry", "resample"):
            theirs, ours = known.plan.get(key), getattr(config, key)
            if theirs != ours:
                raise ValueError(f"{run} was trained with {key} {theirs}, and the plan says {ours}")
        _check_groups(run, known, config, calibration)


def _check_groups(run: Path, known: Learned, config: TrainConfig, calibration: Sequence[Row]) -> None:
    seen = known.of(calibration)
    if seen:
        raise ValueError(
            f"{run} has learned from {len(seen)} of the {len({row.group for row in calibration})} lesions or patients "
            f"that it would be calibrated on (fold_seed {known.plan.get('fold_seed')} there, {config.fold_seed} in the "
            "plan): its probabilities would look better than they are. Name the plan it was trained with, or for the "
            "networks of `melalog cross-validate` their out_of_fold.csv with --out-of-fold"
        )
