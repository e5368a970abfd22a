"""The network behind a port: a batch of prepared pictures in, one finding per picture out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

OUTPUTS = ("melanoma", "malignant", "classes", "logit", "ood", "heatmap")
OPTIONAL = ("photograph",)
"""Of graphs that tell a photograph from dermoscopy."""


@dataclass(frozen=True)
class Scores:
    """One picture's outputs. heatmap: [h, w] in 0 to 1; photograph: its probability, None where the graph has none."""

    melanoma: float
    malignant: float
    classes: NDArray[np.float32]
    logit: float
    ood: float
    heatmap: NDArray[np.float32]
    photograph: float | None = None


class ProviderError(RuntimeError):
    """What was asked for cannot be used here; the message says what to install or to choose instead."""


class Engine(Protocol):
    """What runs the network."""

    name: str

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        """uint8 [N, H, W, 3] to N findings. Called from one thread at a time. Raises EngineDown."""
        ...

    def close(self) -> None:
        """Let go of connections and memory."""
        ...


def wanted(offered: set[str]) -> tuple[str, ...]:
    """The outputs to ask a graph for."""
    return OUTPUTS + tuple(name for name in OPTIONAL if name in offered)


def per_picture(found: Mapping[str, NDArray[Any]]) -> list[Scores]:
    """Outputs by name, each with the batch first, to one Scores per picture."""
    scalars = [name for name in ("melanoma", "malignant", "logit", "ood", *OPTIONAL) if name in found]
    return [
        Scores(
            classes=found["classes"][i],
            heatmap=found["heatmap"][i],
            **{name: float(found[name][i]) for name in scalars},
        )
        for i in range(len(found["melanoma"]))
    ]
