"""One optimisation step over the accumulated batches of this process."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.classifier.network.networks import normalise
from models.classifier.training import devices, losses
from models.classifier.training.batches import Batch
from models.classifier.training.config import TrainConfig
from models.classifier.training.distillation import Teacher

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Stepper:
    """Network, optimiser and loss of one phase. `optimizer` has a `highest` rate in each group."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig, place: devices.Place,
                 teacher: Teacher | None) -> None:  # fmt: skip
        self.wrapped = devices.wrap(network, place)
        self.network, self.optimizer, self.config, self.teacher = network, optimizer, config, teacher
        self.device = place.device
        self.scaler = torch.amp.GradScaler(place.device.type, enabled=config.precision == "fp16")

    def loss(self, batch: Batch) -> Tensor:
        """Mean over the batch, of the labels and, where there is one, of the teacher's answer."""
        config = self.config
        shown = normalise(batch.pictures, config.normalisation).contiguous(memory_format=torch.channels_last)
        with self._autocast():
            scores = self.wrapped(shown)
        scores = scores.float()
        terms = [(weight * losses.per_picture(scores, allowed, config.loss)).mean() for allowed, weight in batch.terms]
        loss = torch.stack(terms).sum()
        if self.teacher is None or config.distillation is None:
            return loss
        distillation = config.distillation
        with self._autocast(), torch.no_grad():
            answer = self.teacher(batch.pictures)
        soft = losses.soft_targets(scores, answer.float(), distillation.temperature).mean()
        return (1 - distillation.weight) * loss + distillation.weight * soft

    def backward(self, batches: Sequence[Callable[[], Batch]]) -> float:
        """Add up the gradients of batches that are made as they are wanted. Returns their mean loss."""
        mean = 0.0
        for number, make in enumerate(batches):
            batch = make()
            with devices.alone(self.wrapped, last=number == len(batches) - 1):
                loss = self.loss(batch) / len(batches)
                if not torch.isfinite(loss):
                    raise FloatingPointError(
                        "the loss is no longer finite: lower optimiser.lr, or set precision to fp32"
                    )
                self.scaler.scale(loss).backward()
            mean += loss.item()
        return mean

    def update(self, share: float) -> None:
        """Move the weights, at this share of the highest rates."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * share
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def _autocast(self) -> Any:
        enabled = self.config.precision != "fp32"
        return torch.autocast(self.device.type, PRECISIONS[self.config.precision] if enabled else None, enabled=enabled)
