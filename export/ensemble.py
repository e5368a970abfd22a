"""Finished runs as one network: what several have learned, in one graph."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import nn

from models.classifier import network as networks
from models.classifier import weights
from models.classifier.artifact import sha256

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class Loaded:
    """One network, or several averaged. backbones: names in the order of `runs`; sha256: of all their weights."""

    network: nn.Module
    backbones: tuple[str, ...]
    sizes: tuple[int, ...]
    sha256: str


def load(runs: Sequence[Path]) -> Loaded:
    """From the folders that `melalog train classifier` wrote. Raises ValueError naming the run that does not serve."""
    members, abouts = [], []
    for run in runs:
        path = run / WEIGHTS
        if not path.is_file():
            raise ValueError(f"{run} is no finished run: there is no {path}")
        state, about = weights.read(path)
        if "backbone" not in about:
            raise ValueError(f"{path} does not say of which network it is: train with `melalog train classifier`")
        made = networks.build(
            about["backbone"],
            pad_type=about["pad_type"],
            normalisation=cast("networks.Normalisation", about["normalisation"]),
        )
        weights.fill(made, state, str(path), about["backbone"])
        members.append(made.eval())
        abouts.append(about)
    digest = hashlib.sha256("".join(sha256(run / WEIGHTS) for run in runs).encode()).hexdigest()
    return Loaded(
        network=members[0] if len(members) == 1 else networks.Ensemble(members).eval(),
        backbones=tuple(about["backbone"] for about in abouts),
        sizes=tuple(int(about["size"]) for about in abouts),
        sha256=digest,
    )
