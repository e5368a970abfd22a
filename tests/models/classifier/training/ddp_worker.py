"""One of the processes that share a step: `torchrun … ddp_worker.py DATA OUT`.

Writes the gradients of the first step, and trains the whole plan.
"""

import sys
from pathlib import Path

import torch

from models.classifier.training import devices, optimiser
from models.classifier.training.batches import Lesson
from models.classifier.training.folds import make_folds
from models.classifier.training.loop import Trainer
from models.classifier.training.stepper import Stepper
from tests.models.classifier import tiny

PLAN = {"freeze_batch_norm": True, "batch_size": 8, "loss": {"class_weights": "balanced", "mixup": 0.3},
        "selection": {"metric": "auc"}}  # fmt: skip


def gradients(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Of the first step, after the exchange between processes."""
    lesson = Lesson(trainer.rows, trainer.config, trainer.place.device)
    stepper = Stepper(trainer.network, trainer.optimizer, trainer.config, trainer.place, None)
    optimiser.set_mode(trainer.network, frozen=False, freeze_batch_norm=True)
    stepper.backward(next(lesson.steps(0, trainer.steps_per_epoch, 32, trainer.place)))
    return {name: p.grad.clone() for name, p in trainer.network.named_parameters() if p.grad is not None}


def main(data: str, out: str, accumulation: int) -> None:
    """The gradients, then the run."""
    config = tiny.plan(**PLAN, accumulation=accumulation)
    folds = make_folds(config, Path(data))
    folder = Path(out)
    found = gradients(Trainer(config, folds.train, folder, folds.calibration))
    trainer = Trainer(config, folds.train, folder, folds.calibration)
    if trainer.place.main:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(found, folder / "gradients.pth")
    trainer.run()
    devices.stop()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
