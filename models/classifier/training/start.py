"""From a plan and its folds to a trainer that is ready to run."""

from pathlib import Path

import torch

from models.classifier.training import batch_size, devices
from models.classifier.training.checkpoint import LAST
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import Folds, check
from models.classifier.training.loop import Trainer


def trainer(config: TrainConfig, folds: Folds, out: Path, *, find_batch_size: bool = False) -> Trainer:
    """The calibration fold chooses the epoch where the plan asks for no fold of its own.

    With `find_batch_size` the largest that fits; a run that is taken up again keeps the one it had.
    Raises ValueError for a fold of one class.
    """
    check(folds, config)
    place = devices.start()
    if find_batch_size:
        found = _batch_size_of(out / LAST) or batch_size.batch_size(config, len(folds.train), place)
        config = config.model_copy(update={"batch_size": found})
    return Trainer(config, folds.train, out, folds.validation or folds.calibration, place)


def _batch_size_of(last: Path) -> int | None:
    if not last.exists():
        return None
    state = torch.load(last, map_location="cpu", weights_only=True, mmap=True)
    return int(state["run"]["configuration"]["batch_size"])
