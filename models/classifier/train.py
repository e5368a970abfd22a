"""Training: staged sizes, balanced batches, averaged weights, exact resume."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.classifier import pictures, table
from models.classifier.augment import augment
from models.classifier.config import TrainConfig
from models.classifier.network import build, normalisation_of, normalise


@dataclass(frozen=True)
class Folds:
    """Rows to learn from and rows to calibrate on; no group in both, and never a test row."""

    train: list[table.Row]
    calibration: list[table.Row]


def make_folds(config: TrainConfig, data_dir: Path) -> Folds:
    """Split by group. Only rows whose official split is `train` are ever used."""
    train: list[table.Row] = []
    calibration: list[table.Row] = []
    for source in config.train_sources:
        rows = [row for row in table.read(data_dir, source) if row.split == "train"]
        if source == config.calibration_source:
            rows, calibration = table.split_off(rows, config.calibration_folds, config.seed)
        train += rows
    # A group may reach into another source: its rows there must not be learned from either.
    held = {row.group for row in calibration}
    return Folds([row for row in train if row.group not in held], calibration)


class Trainer:
    """One run in one folder: `last.pt` holds all that is needed to go on exactly where it stopped."""

    def __init__(self, config: TrainConfig, rows: list[table.Row], folder: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.rows, self.folder = config, rows, folder
        self.generator = torch.Generator().manual_seed(config.seed)
        self.network = build(config.backbone, config.dropout, config.drop_path).to(memory_format=torch.channels_last)
        average = get_ema_multi_avg_fn(config.ema_decay)
        self.average = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.optimizer = torch.optim.AdamW(self._parameters(), lr=config.lr)
        self.steps_per_epoch = len(rows) // config.batch_size
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate())
        self.epoch = 0

    def _parameters(self) -> list[dict[str, Any]]:
        """Weight decay for matrices only: on norms and biases it only does harm."""
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        return [{"params": decayed, "weight_decay": self.config.weight_decay}, {"params": plain, "weight_decay": 0.0}]

    def _rate(self) -> Callable[[int], float]:
        """Linear warm-up, then half a cosine to nothing."""
        total = self.steps_per_epoch * sum(stage.epochs for stage in self.config.stages)
        warm = max(1, round(total * self.config.warmup))

        def rate(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

        return rate

    def run(self, on_epoch: Callable[[int, float], None] = lambda *_: None) -> nn.Module:
        """Train what is left of the plan and return the averaged network, in evaluation mode."""
        self._resume()
        sizes = [stage.size for stage in self.config.stages for _ in range(stage.epochs)]
        if self.epoch < len(sizes):
            config = self.config
            cache = torch.from_numpy(pictures.load(self.rows, config.cache_size, config.geometry, config.resample))
            labels = torch.tensor([row.label for row in self.rows])
            weights = torch.from_numpy(pictures.sampling_weights(self.rows, config.melanoma_share))
            for size in sizes[self.epoch :]:
                loss = self._epoch(cache, labels, weights, size, len(sizes))
                self.epoch += 1
                self._save()
                on_epoch(self.epoch, loss)
        return self.average.module.eval()

    def _epoch(self, cache: Tensor, labels: Tensor, weights: Tensor, size: int, epochs: int) -> float:
        self.network.train()
        drawn = torch.multinomial(
            weights, self.steps_per_epoch * self.config.batch_size, replacement=True, generator=self.generator
        ).view(self.steps_per_epoch, -1)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        mean = 0.0
        with Progress(*columns) as progress:
            task = progress.add_task(f"epoch {self.epoch + 1}/{epochs} at {size} px", total=len(drawn))
            for step, chosen in enumerate(drawn):
                loss = self._step(cache[chosen], labels[chosen], size)
                mean += (loss - mean) / (step + 1)
                text = f"epoch {self.epoch + 1}/{epochs} at {size} px, loss {mean:.3f}"
                progress.update(task, advance=1, description=text)
        return mean

    def _step(self, chosen: Tensor, labels: Tensor, size: int) -> float:
        batch = normalise(
            augment(chosen, size, self.config.augmentation, self.generator), normalisation_of(self.network)
        )
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.precision == "bf16"):
            scores = self.network(batch)
        loss = nn.functional.cross_entropy(scores.float(), labels, label_smoothing=self.config.label_smoothing)
        if not torch.isfinite(loss):
            raise FloatingPointError("the loss is no longer finite: lower lr, or set precision to fp32")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return loss.item()

    def _save(self) -> None:
        state = {
            "config": self.config.model_dump(mode="json"),
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "torch_rng": torch.get_rng_state(),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "last.pt.tmp"
        torch.save(state, unfinished)
        unfinished.rename(self.folder / "last.pt")

    def _resume(self) -> None:
        path = self.folder / "last.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["config"] != self.config.model_dump(mode="json"):
            raise ValueError(f"{path} was made with another configuration: choose another --out folder")
        self.epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])


@torch.inference_mode()
def raw_scores(network: nn.Module, cache: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float64]:
    """Uncalibrated scores [N, C] of prepared pictures uint8 [N, S, S, 3]."""
    parts = []
    for start in range(0, len(cache), batch_size):
        batch = torch.from_numpy(cache[start : start + batch_size]).permute(0, 3, 1, 2).float().div(255)
        parts.append(network(normalise(batch, normalisation_of(network))).double().numpy())
    return np.concatenate(parts)
