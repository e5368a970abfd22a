"""Training pictures in memory, and the order in which they are shown."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track

from models.classifier.labels import CLASSES, MELANOMA
from models.classifier.preprocess import Filter, Geometry, prepare
from models.classifier.table import Row


def load(rows: Sequence[Row], size: int, geometry: Geometry, resample: Filter) -> NDArray[np.uint8]:
    """Every picture as the graph would see it: uint8 [N, size, size, 3].

    Raises ValueError naming the file when a picture cannot be read.
    """
    pictures = np.empty((len(rows), size, size, 3), np.uint8)
    for index, row in enumerate(track(rows, description=f"reading {len(rows)} pictures")):
        try:
            with Image.open(row.path) as image:
                pictures[index] = prepare(ImageOps.exif_transpose(image).convert("RGB"), size, geometry, resample)
        except OSError as error:
            raise ValueError(f"cannot read the picture {row.path}") from error
    return pictures


def sampling_weights(rows: Sequence[Row], melanoma_share: float) -> NDArray[np.float64]:
    """Chance of each row to be drawn: the same melanoma share in every source, square-root balance elsewhere.

    The same share in each source, because a source with more melanomas would teach the network to
    recognise the source instead of the lesion.
    """
    weights = np.zeros(len(rows))
    for source in sorted({row.source for row in rows}):
        of_source = np.array([row.source == source for row in rows])
        counts = Counter(row.label for row in rows if row.source == source)
        others = sum(counts[label] ** 0.5 for label in range(len(CLASSES)) if label != MELANOMA)
        for label, count in counts.items():
            share = melanoma_share if label == MELANOMA else (1 - melanoma_share) * count**0.5 / others
            chosen = of_source & np.array([row.label == label for row in rows])
            weights[chosen] = of_source.sum() * share / count
    weights /= weights.sum()
    return weights
