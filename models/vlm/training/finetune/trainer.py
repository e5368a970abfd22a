"""The loop: one device or many by accelerate, evaluation by AUC of P(yes), saves the best epoch, resumes exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from models.classifier.data import table
from models.classifier.evaluation import statistics
from models.vlm.data import conversation, tensors
from models.vlm.data.answers import EpochOrder, FinetuneFolds, Source, is_yes
from models.vlm.evaluation import predict
from models.vlm.network import adapter
from models.vlm.training.finetune import adapter_checkpoint, base, lora, output, sharding
from models.vlm.training.finetune.finetune_config import FinetuneConfig

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


class FinetuneTrainer:
    """One run in one folder: `last` is the checkpoint to resume from."""

    def __init__(self, config: FinetuneConfig, folds: FinetuneFolds, out: Path) -> None:
        self.config, self.folds, self.out = config, folds, out
        base.check_machine(config, base.locate(config.base, config.revision, only_config=True))
        folder = base.locate(config.base, config.revision)
        self.accelerator = sharding.accelerator(config)
        model_config = base.read_config(folder)
        self.processor = base.load_processor(folder, model_config)
        labels = config.labels
        self.dialogue = conversation.encode(self.processor, config.question, labels.yes, labels.no)
        self.record = {
            "base": config.base,
            "revision": config.revision,
            "fingerprint": adapter.fingerprint(folder),
            "question": config.question,
            "labels": labels.model_dump(mode="json"),
            "view": config.view.model_dump(mode="json"),
        }
        torch.manual_seed(config.seed)
        model = base.load(folder, config)
        if config.lora:
            model = lora.adapt(model, config.lora, config.base, config.revision)
        if config.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad], lr=config.lr, weight_decay=config.weight_decay
        )
        self.model, self.optimizer = self._prepare(model, optimizer)
        # So that dropout differs between processes.
        torch.manual_seed(config.seed + 1 + self.accelerator.process_index)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer.optimizer, 1, config.gamma)
        self.epoch, self.step, self.mean = 0, 0, 0.0
        self.history: list[dict[str, float]] = []

    def _prepare(self, model: Any, optimizer: Any) -> tuple[Any, Any]:
        """On their device, in shards under FSDP."""
        prepared: tuple[Any, Any] = self.accelerator.prepare(model, optimizer)
        return prepared

    @property
    def plain(self) -> Any:
        """The model without accelerate's wrappers."""
        return self.accelerator.unwrap_model(self.model)

    @property
    def run_identity(self) -> dict[str, Any]:
        """What must match for a checkpoint to be resumed."""
        return {
            "config": self.config.model_dump(mode="json"),
            "data": table.digest(self.folds.train) + table.digest(self.folds.held_out),
            "base": self.record["fingerprint"],
            "processes": self.accelerator.num_processes,
        }

    def run(self, on_epoch: Callable[[int, float, float], None] = lambda *_: None) -> list[dict[str, float]]:
        """Train what is left of the plan; returns loss and AUC by epoch. Raises VlmCheckpointError, FloatingPointError.

        `on_epoch` receives the epoch, its mean loss and its AUC, on the main process.
        """
        self._resume()
        if self.epoch < self.config.epochs:
            self._write_params()
            held = Source(self.folds.held_out, self.config.view)
            train = Source(self.folds.train, self.config.view)
            if not self.history:
                self._record_epoch(float("nan"), self.evaluate(held))
            while self.epoch < self.config.epochs:
                self._epoch(train)
                auc = self._close_epoch(held)
                if self.accelerator.is_main_process:
                    on_epoch(self.epoch, self.history[-1]["loss"], auc)
        return self.history

    def _close_epoch(self, held: Source) -> float:
        """Evaluate, save the best and a checkpoint. An epoch killed in between is repeated with the same result."""
        scores = self.evaluate(held)
        before = max((entry["auc"] for entry in self.history[1:]), default=-1.0)
        self._record_epoch(self.mean, scores)
        auc = self.history[-1]["auc"]
        if auc > before:
            output.save_best(self.out, self.accelerator, self.plain, self.record)
        if self.accelerator.is_main_process:
            best_scores = scores if auc > before else None
            output.write_card(self.out, self.config, self.folds, self.history, best_scores)
        self.schedule.step()
        self.epoch, self.step, self.mean = self.epoch + 1, 0, 0.0
        self._save()
        return auc

    def _epoch(self, train: Source) -> None:
        self.model.train()
        config, world = self.config, self.accelerator.num_processes
        order = EpochOrder.draw(self.folds.train, config, self.epoch, config.batch_size * config.accumulation * world)
        answers = is_yes(self.folds.train, config.labels)
        with Progress(*COLUMNS, disable=not self.accelerator.is_main_process) as progress:
            title = f"epoch {self.epoch + 1}/{config.epochs}"
            task = progress.add_task(title, total=len(order.rows), completed=self.step)
            for parts in sharding.ahead(
                lambda step: self._batches(train, answers, order, step), self.step, len(order.rows)
            ):
                loss = self._step(parts)
                self.step += 1
                self.mean += (loss - self.mean) / self.step
                progress.update(task, advance=1, description=f"{title}, loss {self.mean:.3f}")
                if self.step % config.save_every == 0 and self.step < len(order.rows):
                    self._save()

    def _batches(
        self, train: Source, answers: NDArray[np.bool_], order: EpochOrder, step: int
    ) -> list[dict[str, Tensor]]:
        """The batches of this process for one step, one per accumulation."""
        shape = (self.config.accumulation, self.accelerator.num_processes, self.config.batch_size)
        batches = []
        for rows, turns in zip(order.rows[step].view(shape), order.turns[step].view(shape), strict=True):
            own_rows = rows[self.accelerator.process_index].tolist()
            turn = turns[self.accelerator.process_index].tolist() if self.config.turns else None
            expected = [self.dialogue.yes if answers[i] else self.dialogue.no for i in own_rows]
            batches.append(
                tensors.collate(
                    self.processor, train.take(own_rows, turn), [self.dialogue.prompt] * len(own_rows), expected
                )
            )
        return batches

    def _step(self, parts: list[dict[str, Tensor]]) -> float:
        mean = 0.0
        for batch in parts:
            with self.accelerator.accumulate(self.model):
                inputs = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
                loss = self.model(**inputs, use_cache=False).loss
                if not torch.isfinite(loss):
                    raise FloatingPointError("the loss is no longer finite: lower lr, or set precision to fp32")
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                mean += loss.item() / len(parts)
        return mean

    def evaluate(self, held: Source) -> NDArray[np.float64]:
        """Log-odds of Yes of every held-out image [N], from the raw distribution at the end of the prompt."""
        world, rank, n = self.accelerator.num_processes, self.accelerator.process_index, len(held)
        each, size = -(-n // world), self.config.evaluation_batch
        own_rows = [(rank + world * i) % n for i in range(each)]  # under FSDP all must run equally often
        log_odds: list[float] = []
        for start in range(0, each, size):
            batch = held.take(own_rows[start : start + size])
            predictions = predict.answer_logprobs(self.model, self.processor, batch, self.config.question, size)
            log_odds += predict.log_odds(predictions).tolist()
        sharding.reshard(self.model)
        device = self.accelerator.device
        every = self.accelerator.gather(torch.tensor(log_odds, dtype=torch.float32, device=device)).view(world, each)
        scores: NDArray[np.float64] = every.T.reshape(-1)[:n].double().cpu().numpy()
        return scores

    def _record_epoch(self, loss: float, scores: NDArray[np.float64]) -> None:
        truth = is_yes(self.folds.held_out, self.config.labels).astype(np.float64)
        auc = statistics.METRICS["auc"](truth, scores)
        self.history.append({"loss": loss, "auc": auc, "lr": self.optimizer.param_groups[0]["lr"]})

    def _write_params(self) -> None:
        if self.accelerator.is_main_process:
            self.out.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False)
            (self.out / "train_params.yaml").write_text(text)

    def _save(self) -> None:
        state = {
            "run": self.run_identity,
            "epoch": self.epoch,
            "step": self.step,
            "mean": self.mean,
            "history": self.history,
            "schedule": self.schedule.state_dict(),
        }
        adapter_checkpoint.save(self.out / "last", self.accelerator, self.plain, self.optimizer.optimizer, state)

    def _resume(self) -> None:
        state = adapter_checkpoint.read_state(self.out / "last")
        if state is None:
            return
        adapter_checkpoint.check(state, self.run_identity)
        adapter_checkpoint.load(Path(state["folder"]), self.accelerator, self.plain, self.optimizer.optimizer)
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.step, self.mean = state["epoch"], state["step"], state["mean"]
        self.history = state["history"]
