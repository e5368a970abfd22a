"""What one step shows: drawn rows, changed pictures, and what their labels allow."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from models.classifier.data import image_pool as pictures
from models.classifier.data.table import Row
from models.classifier.training import devices, losses
from models.classifier.training.augmentation import vary
from models.classifier.training.config import TrainConfig
from models.classifier.training.transforms import Chain


def seed_of(*parts: int) -> int:
    """A seed of its own for every epoch, step and batch: nothing random has to be kept in a checkpoint."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def generator_of(*parts: int) -> torch.Generator:
    """A generator with such a seed."""
    return torch.Generator().manual_seed(seed_of(*parts))


@dataclass(frozen=True)
class Batch:
    """`pictures`: float [N, 3, S, S] in 0 to 1. `terms`: (allowed [N, C], weight [N]); two of them under mixup."""

    pictures: Tensor
    terms: list[tuple[Tensor, Tensor]]


class Lesson:
    """Rows with all that is needed to draw batches from them."""

    def __init__(self, rows: Sequence[Row], config: TrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.pictures = pictures.ImagePool(rows, config, config.cache_size)
        chances = pictures.chances(rows, config)
        self._chances = None if chances is None else torch.from_numpy(chances)
        self._allowed = pictures.allowed(rows)
        self._weights = losses.label_weights(rows, config.loss.class_weights)
        self._rare = torch.from_numpy(pictures.is_rare(rows, config))
        self._chain = Chain(config.transforms)
        self._rare_chain = Chain(config.rare.transforms if config.rare else ())

    def order(self, epoch: int, steps: int, per_step: int) -> Tensor:
        """Row numbers [steps, per_step, batch_size] of an epoch: the same in every process."""
        generator, n = generator_of(self.config.seed, epoch), steps * per_step * self.config.batch_size
        if self._chances is None:
            drawn = torch.randperm(len(self.pictures), generator=generator)[:n]
        else:
            drawn = torch.multinomial(self._chances, n, replacement=True, generator=generator)
        return drawn.view(steps, per_step, self.config.batch_size)

    def steps(self, epoch: int, steps: int, size: int, place: devices.Place) -> Iterator[list[Callable[[], Batch]]]:
        """For every step of an epoch, what makes this process's accumulated batches; reading is done ahead."""
        each = self.config.accumulation
        first = place.rank * each
        mine = self.order(epoch, steps, each * place.world)[:, first : first + each]
        reading = devices.ahead(lambda step: [self.pictures.take(chosen.tolist()) for chosen in mine[step]], steps)
        for step, read in enumerate(reading):
            yield [
                partial(self._make, cache, chosen, size, (epoch, step, first + i))
                for i, (cache, chosen) in enumerate(zip(read, mine[step], strict=True))
            ]

    def _make(self, read: Tensor, chosen: Tensor, size: int, which: tuple[int, ...]) -> Batch:
        """Dropout too starts from the batch's own seed, whichever process draws it."""
        torch.manual_seed(seed_of(self.config.seed, *which, 1))
        return self.draw(read, chosen, size, generator_of(self.config.seed, *which))

    def draw(self, read: Tensor, chosen: Tensor, size: int, generator: torch.Generator) -> Batch:
        """The pictures uint8 [N, S, S, 3] of the rows `chosen` [N], changed, with what their labels allow."""
        batch = self._change(read.to(self.device).permute(0, 3, 1, 2), self._rare[chosen], size, generator)
        allowed, weight = self._allowed[chosen].to(self.device), self._weights[chosen].to(self.device)
        if self.config.loss.mixup == 0:
            return Batch(batch, [(allowed, weight)])
        n, alpha = len(chosen), self.config.loss.mixup
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        share = torch.from_numpy(rng.beta(alpha, alpha, n).astype(np.float32)).to(self.device)
        other = torch.randperm(n, generator=generator).to(self.device)
        mixed = torch.lerp(batch[other], batch, share.view(n, 1, 1, 1))
        return Batch(mixed, [(allowed, share * weight), (allowed[other], (1 - share) * weight[other])])

    def _change(self, batch: Tensor, rare: Tensor, size: int, generator: torch.Generator) -> Tensor:
        config = self.config
        batch = self._chain(batch, size, generator)
        if config.rare is None or not rare.any():
            return vary(batch, size, config.augmentation, generator)
        stronger = config.rare.augmentation or config.augmentation
        shown = torch.empty(len(batch), 3, size, size, device=self.device)
        rare = rare.to(self.device)
        if not rare.all():
            shown[~rare] = vary(batch[~rare], size, config.augmentation, generator)
        shown[rare] = vary(self._rare_chain(batch[rare], size, generator), size, stronger, generator)
        return shown
