"""Training pictures in memory or on disk, and the chance of each to be shown."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track

from models.classifier.data.labels import CLASSES
from models.classifier.data.table import Row
from models.classifier.serving.preprocess import prepare
from models.classifier.training.config import Sampling, SourceSampling, TrainConfig
from models.common.geometry import Filter, Geometry

READERS = 4
"""Threads that read a batch from disk: decoding leaves Python's lock alone."""


def read(row: Row, size: int, geometry: Geometry, resample: Filter) -> NDArray[np.uint8]:
    """A picture as the graph would see it: uint8 [size, size, 3]. Raises ValueError naming a file that is broken."""
    try:
        with Image.open(row.path) as image:
            return prepare(ImageOps.exif_transpose(image).convert("RGB"), size, geometry, resample)
    except (OSError, Image.DecompressionBombError, SyntaxError) as error:  # Pillow's PNG reader raises SyntaxError
        raise ValueError(f"cannot read the image {row.path}") from error


def load(rows: Sequence[Row], size: int, geometry: Geometry, resample: Filter) -> NDArray[np.uint8]:
    """Every picture as the graph would see it: uint8 [N, size, size, 3].

    Raises ValueError naming the file when a picture cannot be read.
    """
    pictures = np.empty((len(rows), size, size, 3), np.uint8)
    quiet = not rows or os.environ.get("RANK", "0") != "0"  # of several processes only the first tells
    for index, row in enumerate(track(rows, description=f"reading {len(rows)} pictures", disable=quiet)):
        pictures[index] = read(row, size, geometry, resample)
    return pictures


class ImagePool:
    """Prepared pictures by row number: read once when they fit into memory, else when asked for."""

    def __init__(self, rows: Sequence[Row], config: TrainConfig, size: int) -> None:
        """`size`: side in pixels. Raises ValueError for a broken file, here or when it is asked for."""
        self.rows, self.config, self.size = rows, config, size
        self._all: torch.Tensor | None = None
        self._readers = ThreadPoolExecutor(READERS)
        if len(rows) * 3 * size**2 <= config.cache_gb * 2**30:
            self._all = torch.from_numpy(load(rows, size, config.geometry, config.resample))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: Sequence[int]) -> torch.Tensor:
        """These pictures: uint8 [n, S, S, 3]."""
        if self._all is not None:
            return self._all[list(chosen)]
        geometry, resample = self.config.geometry, self.config.resample
        found = self._readers.map(lambda i: read(self.rows[i], self.size, geometry, resample), chosen)
        return torch.from_numpy(np.stack(list(found)))


def sampling_weights(
    rows: Sequence[Row], melanoma_share: float | None, sources: Mapping[str, SourceSampling] | None = None
) -> NDArray[np.float64]:
    """Chance of each row to be drawn: the same melanoma share in every source, square-root balance elsewhere.

    The same share in each source, because a source with more melanomas would teach the network to
    recognise the source instead of the lesion. `sources` says where one is drawn otherwise.
    """
    sources = sources or {}
    weights = np.zeros(len(rows))
    of_source = np.array([row.source for row in rows])
    for source in sorted(set(of_source)):
        share = sources[source].melanoma_share if source in sources else melanoma_share
        chosen = of_source == source
        weights[chosen] = _balanced([row for row in rows if row.source == source], share) * chosen.sum()
    fixed = {name: part.share for name, part in sources.items() if part.share and (of_source == name).any()}
    others = ~np.isin(of_source, list(fixed))
    left = 1 - sum(fixed.values())
    if fixed and (left <= 0 or not others.any()):
        raise ValueError("sampling.sources: the shares must leave something to a source without one")
    weights[others] *= left / weights[others].sum()
    for name, share in fixed.items():
        weights[of_source == name] *= share / weights[of_source == name].sum()
    return weights


def _balanced(rows: Sequence[Row], melanoma_share: float | None) -> NDArray[np.float64]:
    """Chances within one source; their sum is 1. A label that leaves the diagnosis open counts as one of its own."""
    counts = Counter(row.dx for row in rows)
    others = sum(count**0.5 for dx, count in counts.items() if dx != "mel" or melanoma_share is None)
    chance = {dx: count**0.5 / others if others else 0.0 for dx, count in counts.items()}
    if melanoma_share is not None and "mel" in counts:
        chance = {dx: p * (1 - melanoma_share) for dx, p in chance.items()} | {"mel": melanoma_share}
    weights = np.array([chance[row.dx] / counts[row.dx] for row in rows])
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def chances(rows: Sequence[Row], config: TrainConfig) -> NDArray[np.float64] | None:
    """Chance of each row to be drawn [N]; None where every row is to be shown once an epoch."""
    sampling: Sampling = config.sampling
    if sampling.method == "shuffle" and (config.rare is None or config.rare.times == 1):
        return None
    if sampling.method == "balanced":
        weights = sampling_weights(rows, sampling.melanoma_share, sampling.sources)
    elif sampling.method == "inverse":
        counts = Counter(row.dx for row in rows)
        weights = np.array([1 / counts[row.dx] for row in rows])
    else:
        weights = np.ones(len(rows))
    if config.rare is not None:
        weights[is_rare(rows, config)] *= config.rare.times
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def is_rare(rows: Sequence[Row], config: TrainConfig) -> NDArray[np.bool_]:
    """Which rows are of a diagnosis that `rare` names [N]."""
    names = config.rare.classes if config.rare else ()
    return np.array([row.dx in names for row in rows], dtype=np.bool_)


def allowed(rows: Sequence[Row]) -> torch.Tensor:
    """Which classes each label leaves open: bool [N, C]."""
    table = torch.zeros(len(rows), len(CLASSES), dtype=torch.bool)
    for i, row in enumerate(rows):
        table[i, list(row.classes)] = True
    return table
