"""The phases of a plan and the course of the learning rate within each."""

import math
from dataclasses import dataclass

from models.classifier.training.config import Optimiser, TrainConfig


@dataclass(frozen=True)
class Phase:
    """Epochs that share one optimiser and one schedule. `sizes`: side of the pictures, by epoch."""

    name: str
    frozen: bool
    sizes: tuple[int, ...]


def of(config: TrainConfig) -> list[Phase]:
    """A warm-up of the head alone, where there is one, then fine-tuning."""
    found = []
    for name, frozen in (("warm-up", True), ("fine-tuning", False)):
        sizes = [stage.size for stage in config.stages if stage.frozen is frozen for _ in range(stage.epochs)]
        if sizes:
            found.append(Phase(name, frozen, tuple(sizes)))
    return found


def rate(step: int, steps_per_epoch: int, epochs: int, optimiser: Optimiser) -> float:
    """Share of the highest learning rate at a step of a phase."""
    total = steps_per_epoch * epochs
    warm = round(total * optimiser.warmup) if optimiser.warmup < 1 else int(optimiser.warmup)
    if step < warm:
        return (step + 1) / warm
    if optimiser.schedule == "constant":
        return 1.0
    if optimiser.schedule == "exponential":
        return float(optimiser.decay ** ((step - warm) // steps_per_epoch))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))
    return optimiser.floor + (1 - optimiser.floor) * cosine
