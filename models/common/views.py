"""The eight turns and mirrors of an image, each as (quarter turns, mirrored)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

View = tuple[int, bool]
VIEWS: tuple[View, ...] = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))
"""The image itself first."""


def turned(pixels: NDArray[Any], view: View) -> NDArray[Any]:
    """Images [..., H, W, C], mirrored left to right where the view says so, then turned; a contiguous copy."""
    turns, mirrored = view
    flipped = pixels[..., ::-1, :] if mirrored else pixels
    return np.ascontiguousarray(np.rot90(flipped, turns, axes=(-3, -2)))
