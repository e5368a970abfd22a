"""The loop: phases of epochs, the best of each kept, a checkpoint after every one, exact resume."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.classifier.data import image_pool, table
from models.classifier.network import initial_weights
from models.classifier.network.networks import build, normalise
from models.classifier.training import checkpoint, devices, distillation, folds, learned, log, optimiser, phases, scores
from models.classifier.training.augmentation import resized
from models.classifier.training.batches import Lesson
from models.classifier.training.checkpoint import LAST
from models.classifier.training.config import TrainConfig
from models.classifier.training.stepper import Stepper
from models.classifier.training.training_errors import CheckpointError, TrainingError

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
SAMPLE = 256
"""Pictures from which folded batch norm is restored."""


class Trainer:
    """One run in one folder: `last.pt` holds all that is needed to go on exactly where it stopped.

    `network` is what is trained and `average` what is judged, kept and returned.
    """

    def __init__(
        self,
        config: TrainConfig,
        rows: Sequence[table.Row],
        folder: Path,
        validation: Sequence[table.Row] = (),
        place: devices.Place | None = None,
    ) -> None:
        """`validation`: rows to choose the epoch on; without them the last one is kept. Raises ValueError."""
        self.config, self.rows, self.folder = config, list(rows), folder
        self.selection = config.selection if validation else None
        self.validation = list(validation) if self.selection else []
        if self.selection is not None:
            folds.require_both(validation, self.selection.endpoint, "the rows to choose the epoch on")
        self.place = place or devices.start()
        if config.precision == "fp16" and self.place.device.type != "cuda":
            raise TrainingError(f"precision fp16 is for CUDA, and this is {self.place.device.type}: set bf16 or fp32")
        self.per_step = config.accumulation * self.place.world
        self.steps_per_epoch = len(self.rows) // (config.batch_size * self.per_step)
        if not self.steps_per_epoch:
            raise ValueError(f"{len(self.rows)} pictures do not fill one step of {self.per_step} batches of "
                             f"{config.batch_size}: lower batch_size")  # fmt: skip
        torch.manual_seed(config.seed)
        network = build(config.backbone, config.dropout, config.drop_path, config.pad_type, config.normalisation)
        network = network.to(self.place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: nn.Module = devices.synchronised(network, self.place)
        self.phases = phases.of(config)
        self.phase, self.epoch = 0, 0
        self._scaler: dict[str, Any] | None = None
        self.history: list[dict[str, Any]] = []
        self.tracker: log.Tracker | None = None
        self._begin_phase()

    def _begin_phase(self) -> None:
        """A fresh average and optimiser; what was learned so far stays in the network."""
        optimiser.freeze(self.network, self.phases[self.phase].frozen)
        average = get_ema_multi_avg_fn(self.config.ema_decay)
        self.average = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.optimizer = torch.optim.AdamW(optimiser.groups(self.network, self.config.optimiser))
        self.best: float | None = None
        self.waited = 0

    def run(self, on_epoch: Callable[[int, float], None] = lambda *_: None) -> nn.Module:
        """Train what is left of the plan and return the kept network, in evaluation mode.

        Raises TrainingError, FloatingPointError, and ValueError naming a picture that cannot be read.
        """
        resumed = self._resume()
        if not resumed:
            initial_weights.initialise(self.network, self.config, self._sample)
            self._begin_phase()
        if self.phase < len(self.phases):
            self._track(resumed)
            lesson = Lesson(self.rows, self.config, self.place.device)
            seen = image_pool.ImagePool(self.validation, self.config, self.config.input_size)
            teaching = self.config.distillation
            teacher = distillation.load(teaching.teacher, self.place.device) if teaching else None
            while self.phase < len(self.phases):
                self._run_phase(lesson, seen, teacher, on_epoch)
            if self.tracker:
                self.tracker.end()
        kept = self.average.module
        if self.selection is not None:
            self._load_best(kept, self.phases[-1])
        if self.place.main:
            self._keep(kept, self.folder / "network.safetensors")
        return kept.eval()

    def _run_phase(self, lesson: Lesson, seen: image_pool.ImagePool, teacher: distillation.Teacher | None,
                   on_epoch: Callable[[int, float], None]) -> None:  # fmt: skip
        phase = self.phases[self.phase]
        stepper = Stepper(self.network, self.optimizer, self.config, self.place, teacher)
        if self._scaler:
            stepper.scaler.load_state_dict(self._scaler)
        done = sum(line["phase"] == phase.name for line in self.history)
        for number in range(done, len(phase.sizes)):
            loss = self._epoch(lesson, stepper, phase, number)
            self.epoch += 1
            self._judge(phase, seen)
            self._scaler = stepper.scaler.state_dict()
            ended = number + 1 == len(phase.sizes) or self._impatient()
            if ended:
                self._end_phase(phase)
            self._save()
            if self.place.main:
                on_epoch(self.epoch, loss)
            if ended:
                return

    def _epoch(self, lesson: Lesson, stepper: Stepper, phase: phases.Phase, number: int) -> float:
        config, size, start = self.config, phase.sizes[number], time.perf_counter()
        optimiser.set_mode(self.network, phase.frozen, config.freeze_batch_norm)
        mean, title = 0.0, f"epoch {self.epoch + 1}, {phase.name} at {size} px{self._so_far()}"
        with Progress(*COLUMNS, disable=not self.place.main) as progress:
            task = progress.add_task(title, total=self.steps_per_epoch)
            for step, made in enumerate(lesson.steps(self.epoch, self.steps_per_epoch, size, self.place)):
                loss = stepper.backward(made)
                done = number * self.steps_per_epoch + step
                stepper.update(phases.rate(done, self.steps_per_epoch, len(phase.sizes), config.optimiser))
                self.average.update_parameters(self.network)
                mean += (loss - mean) / (step + 1)
                progress.update(task, advance=1, description=f"{title}, loss {mean:.3f}")
        mean = float(sum(devices.gather(mean, self.place))) / self.place.world
        seconds = time.perf_counter() - start
        self.history.append({
            "epoch": self.epoch + 1, "phase": phase.name, "size": size, "loss": mean,
            "lr": self.optimizer.param_groups[0]["lr"], "seconds": round(seconds, 2),
            "pictures_per_second": round(self.steps_per_epoch * self.per_step * config.batch_size / seconds, 1),
        })  # fmt: skip
        return mean

    def _so_far(self) -> str:
        return f", best {self.selection.metric} {self.best:.3f}" if self.selection and self.best is not None else ""

    def _judge(self, phase: phases.Phase, seen: image_pool.ImagePool) -> None:
        """Measure the average on the validation rows and keep it where it is the best of its phase."""
        if self.selection is None:
            return
        network = self.average.module.eval()
        devices.share_buffers(network, self.place)
        value = scores.judge(scores.scores_of(network, seen, self.place), self.validation, self.selection)
        is_best = scores.better(value, self.best, self.selection)
        self.history[-1] |= {self.selection.metric: value, "best": is_best}
        self.waited = 0 if is_best else self.waited + 1
        if is_best:
            self.best = value
            if self.place.main:
                self._keep(network, self._best_file(phase))

    def _impatient(self) -> bool:
        patience = self.selection.patience if self.selection else None
        return patience is not None and self.waited >= patience

    def _end_phase(self, phase: phases.Phase) -> None:
        """The next phase goes on from the best of this one."""
        self.phase += 1
        if self.phase == len(self.phases):
            return
        devices.gather(None, self.place)  # until the main process has written
        kept = self.average.module
        if self.selection is not None:
            self._load_best(kept, phase)
        self.network.load_state_dict(kept.state_dict())
        self._begin_phase()

    def _best_file(self, phase: phases.Phase) -> Path:
        return self.folder / f"best-{phase.name}.safetensors"

    def _load_best(self, network: nn.Module, phase: phases.Phase) -> None:
        state, _ = initial_weights.read(self._best_file(phase))
        network.load_state_dict(state)

    def _keep(self, network: nn.Module, path: Path) -> None:
        config = self.config
        about = {"backbone": config.backbone, "normalisation": config.normalisation, "pad_type": config.pad_type,
                 "size": str(config.input_size), "epoch": str(self.epoch),
                 **learned.record(config, self.rows)}  # fmt: skip
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            initial_weights.write(network, path, about)
        except OSError as error:
            raise CheckpointError(f"cannot write {path} ({error}): is the disk full?") from error

    def _sample(self) -> Tensor:
        """Some pictures as the network sees them, for restoring batch norm."""
        config = self.config
        some = self.rows[:: max(1, len(self.rows) // SAMPLE)]
        read = torch.from_numpy(image_pool.load(some, config.cache_size, config.geometry, config.resample))
        shown = resized(read.permute(0, 3, 1, 2), config.stages[0].size)
        return normalise(shown, config.normalisation).to(self.place.device)

    def _track(self, resumed: dict[str, Any] | None) -> None:
        tracking = self.config.tracking
        if tracking is not None and self.place.main:
            self.tracker = log.Tracker(tracking, self.config, resumed["tracked"] if resumed else None)

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be gone on with."""
        return {
            "configuration": self.config.model_dump(mode="json"),
            "set of pictures": table.digest(self.rows) + table.digest(self.validation),
            "number of processes": self.place.world,
        }

    def _save(self) -> None:
        if not self.place.main:
            return
        state = {
            "run": self.identity, "phase": self.phase, "epoch": self.epoch, "best": self.best, "waited": self.waited,
            "history": self.history, "tracked": self.tracker.run_id if self.tracker else None,
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "scaler": self._scaler,
        }  # fmt: skip
        checkpoint.save(self.folder / LAST, state)
        log.write(self.folder, self.history)
        if self.tracker:
            self.tracker.log(self.history[-1])

    def _resume(self) -> dict[str, Any] | None:
        state = checkpoint.load(self.folder / LAST, self.identity)
        if state is None:
            return None
        self.phase, self.epoch, self.history = state["phase"], state["epoch"], state["history"]
        if self.phase < len(self.phases):
            self._begin_phase()
            self.optimizer.load_state_dict(state["optimizer"])
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.best, self.waited, self._scaler = state["best"], state["waited"], state["scaler"]
        return state
