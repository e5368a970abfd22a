"""From an upright RGB picture to the graph's input: the one place where geometry is decided.

Training, calibration and serving all call `prepare`; the manifest records the settings, so
that nothing can drift between them (docs/architecture.md).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Geometry = Literal["squash", "crop"]
Filter = Literal["bilinear", "bicubic", "lanczos"]

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def prepare(
    picture: Image.Image, size: int, geometry: Geometry = "squash", resample: Filter = "bilinear"
) -> NDArray[np.uint8]:
    """Resize an RGB picture to a uint8 array [size, size, 3].

    `squash` keeps the whole frame and gives up its aspect ratio; `crop` takes the middle square.
    """
    width, height = picture.size
    box: tuple[float, float, float, float] = (0, 0, width, height)
    if geometry == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    resized = picture.resize((size, size), FILTERS[resample], box=box)
    return np.asarray(resized, dtype=np.uint8)
