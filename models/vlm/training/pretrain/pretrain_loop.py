"""The training loop of both pretraining steps: balanced batches, averaged weights, exact resume."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Step = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
"""(network, row numbers [N], source of randomness) to the loss."""


class Schedule(BaseModel):
    """Epochs, batch size, learning rate and averaging."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    epochs: int = Field(gt=0)
    batch_size: int = Field(64, gt=0)
    lr: float = Field(1.5e-3, gt=0)
    slow: float = Field(1.0, gt=0, le=1, description="factor on the rate of parameters named slow_prefix")
    slow_prefix: str = ""
    weight_decay: float = Field(0.05, ge=0)
    warmup_epochs: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.998, gt=0, lt=1)
    seed: int = 42


class PretrainLoop:
    """A training run that resumes from `last.pt` in its folder."""

    def __init__(self, network: nn.Module, weights: Tensor, schedule: Schedule, folder: Path) -> None:
        """`weights`: chance of each row to be drawn, [rows], summing to 1."""
        self.network, self.weights, self.plan, self.folder = network, weights, schedule, folder
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(schedule.ema_decay))
        self.optimizer = torch.optim.AdamW(self._parameters(), lr=schedule.lr, betas=(0.9, 0.98), fused=True)
        self.steps = max(1, len(weights) // schedule.batch_size)
        self.rate = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.generator = torch.Generator().manual_seed(schedule.seed)
        self.epoch = 0

    def _parameters(self) -> list[dict[str, Any]]:
        """No decay for norms, biases and gates; a slower rate where the schedule says so."""
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            slow = bool(self.plan.slow_prefix) and self.plan.slow_prefix in name
            groups.setdefault((slow, parameter.ndim > 1), []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": self.plan.lr * (self.plan.slow if slow else 1.0),
                "weight_decay": self.plan.weight_decay if decayed else 0.0,
            }
            for (slow, decayed), parameters in groups.items()
        ]

    def _rate(self, step: int) -> float:
        """Linear warm-up, then cosine decay to zero."""
        total, warm = self.steps * self.plan.epochs, max(1, round(self.steps * self.plan.warmup_epochs))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    def run(self, step: Step, on_epoch: Callable[[int, float, nn.Module], None] = lambda *_: None) -> nn.Module:
        """Train what is left of the plan and return the averaged network, in evaluation mode."""
        self._resume()
        while self.epoch < self.plan.epochs:
            loss = self._epoch(step)
            self.epoch += 1
            self._save()
            on_epoch(self.epoch, loss, self.average.module.eval())
        averaged: nn.Module = self.average.module.eval()
        return averaged

    def _epoch(self, step: Step) -> float:
        self.network.train()
        size = self.plan.batch_size
        drawn = torch.multinomial(self.weights, self.steps * size, replacement=True, generator=self.generator)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        mean = 0.0
        with Progress(*columns) as progress:
            task = progress.add_task("", total=self.steps)
            for number, rows in enumerate(drawn.view(self.steps, size)):
                mean += (self._one(step(self.network, rows, self.generator)) - mean) / (number + 1)
                text = f"epoch {self.epoch + 1}/{self.plan.epochs}, loss {mean:.3f}"
                progress.update(task, advance=1, description=text)
        return mean

    def _one(self, loss: Tensor) -> float:
        if not torch.isfinite(loss):
            raise FloatingPointError("the loss is no longer finite: lower lr")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.rate.step()
        self.average.update_parameters(self.network)
        return loss.item()

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer, "rate": self.rate}

    def _save(self) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"plan": self.plan.model_dump(), "epoch": self.epoch, "generator": self.generator.get_state()}
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "last.pt.tmp"
        torch.save(state, unfinished)
        unfinished.rename(self.folder / "last.pt")

    def _resume(self) -> None:
        path = self.folder / "last.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["plan"] != self.plan.model_dump():
            raise ValueError(f"{path} was made with another configuration: choose another --out folder")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.epoch = state["epoch"]
        self.generator.set_state(state["generator"])
