"""Images and Yes/No answers from rows of the classifier's data table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from models.classifier.data import image_pool, table
from models.classifier.data.labels import CLASSES
from models.classifier.data.table import Row
from models.common.views import VIEWS, turned
from models.vlm.data.tensors import ImageBatch
from models.vlm.serving.preprocess import View, prepare
from models.vlm.training.finetune.finetune_config import FinetuneConfig, Labels

CACHE_LIMIT = 4 << 30
"""Bytes of prepared images cached in memory; a larger set is read from disk for every batch."""


@dataclass(frozen=True)
class FinetuneFolds:
    """Training rows, and held-out rows for selection and calibration; no group in both, no test rows."""

    train: list[Row]
    held_out: list[Row]


def make_folds(config: FinetuneConfig, data_dir: Path) -> FinetuneFolds:
    """The classifier's own folds (models.classifier.training.folds): only `split = train` is ever read.

    Raises FileNotFoundError for a missing table, ValueError when a fold has only one of the answers.
    """
    train: list[Row] = []
    held_out: list[Row] = []
    for source in config.train_sources:
        rows = [row for row in table.read(data_dir, source) if row.split == "train"]
        if source == config.calibration_source:
            rows, held_out = table.split_off(rows, config.calibration_folds, config.fold_seed)
        train += rows
    groups = {row.group for row in held_out}
    folds = FinetuneFolds([row for row in train if row.group not in groups], held_out)
    for name, part in (("to train on", folds.train), ("to select the epoch on", folds.held_out)):
        answers = is_yes(part, config.labels)
        if not 0 < answers.sum() < len(answers):
            raise ValueError(f"the rows {name} need images of both answers: see labels.positive and the sources")
    return folds


class Source:
    """Prepared images by row number: cached when they are squares of one size, else read on demand."""

    def __init__(self, rows: Sequence[Row], view: View) -> None:
        self.rows, self.view = rows, view
        self._cache: NDArray[np.uint8] | None = None
        if view.geometry != "keep" and len(rows) * 3 * view.size**2 <= CACHE_LIMIT:
            self._cache = image_pool.load(rows, view.size, view.geometry, view.resample)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: Sequence[int], turns: Sequence[int] | None = None) -> ImageBatch:
        """These images, each turned and mirrored by its number from 0 to 7. Raises ValueError for a broken file."""
        if self._cache is not None:
            array = self._cache[list(chosen)]
            return (
                array if turns is None else np.stack([turned(p, VIEWS[t]) for p, t in zip(array, turns, strict=True)])
            )
        read = [self._read(self.rows[i]) for i in chosen]
        if turns is None:
            return read
        return [Image.fromarray(turned(np.asarray(p), VIEWS[t])) for p, t in zip(read, turns, strict=True)]

    def _read(self, row: Row) -> Image.Image:
        try:
            with Image.open(row.path) as image:
                return prepare(ImageOps.exif_transpose(image).convert("RGB"), self.view)
        except OSError as error:
            raise ValueError(f"cannot read the image {row.path}") from error


def is_yes(rows: Sequence[Row], labels: Labels) -> NDArray[np.bool_]:
    """Whether Yes is the correct answer, by row."""
    positive = [CLASSES.index(name) for name in labels.positive]
    return np.array([row.label in positive for row in rows], dtype=np.bool_)


@dataclass(frozen=True)
class EpochOrder:
    """Rows and turns of one epoch; deterministic for a seed, on every process."""

    rows: Tensor
    turns: Tensor

    @classmethod
    def draw(cls, rows: Sequence[Row], config: FinetuneConfig, epoch: int, per_step: int) -> "EpochOrder":
        """Row numbers and turns [steps, per_step] of an epoch; an incomplete last step is dropped."""
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        steps = len(rows) // per_step
        if not steps:
            raise ValueError(f"{len(rows)} images do not fill one step of {per_step}: lower batch_size")
        if config.melanoma_share is None:
            drawn = torch.randperm(len(rows), generator=generator)[: steps * per_step]
        else:
            weights = torch.from_numpy(image_pool.sampling_weights(rows, config.melanoma_share))
            drawn = torch.multinomial(weights, steps * per_step, replacement=True, generator=generator)
        turns = torch.randint(8 if config.turns else 1, (steps, per_step), generator=generator)
        return cls(drawn.view(steps, per_step), turns)
