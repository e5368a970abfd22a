"""Is the picture good enough to judge? Sharpness and exposure, at about the scale the network works at."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.contracts import PictureFinding

SIDE = 144
"""Measured at this size, because blur that the network cannot see does no harm."""
MAX_BLUR = 0.70
"""At most 0.5 % of unblurred real pictures are above it, docs/models.md has the table."""
DARK, BRIGHT = 0.15, 0.95
FLAT = 0.015
BOX = 9


def judge(picture: Image.Image) -> PictureFinding:
    """Judge an upright RGB picture."""
    small = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    light = np.asarray(small, dtype=np.float32).mean(axis=2) / np.float32(255)
    problems: list[str] = []
    if light.mean() < DARK:
        problems.append("dark")
    if light.mean() > BRIGHT:
        problems.append("bright")
    if light.std() < FLAT:
        problems.append("flat")
    elif max(blur(light), blur(light.T)) > MAX_BLUR:
        problems.append("blurred")
    return PictureFinding.model_validate({"quality": "poor" if problems else "good", "problems": problems})


def blur(light: NDArray[np.float32]) -> float:
    """0 (sharp) to 1: how little another blur along the rows takes away (Crete et al. 2007). light: [H, W]."""
    total = np.cumsum(light, axis=1, dtype=np.float64)
    again = (total[:, BOX:] - total[:, :-BOX]) / BOX
    middle = light[:, BOX // 2 + 1 : BOX // 2 + 1 + again.shape[1]]
    before, after = np.abs(np.diff(middle, axis=1)), np.abs(np.diff(again, axis=1))
    lost = np.maximum(before - after, 0).sum()
    return float(1 - lost / before.sum()) if before.sum() > 0 else 1.0
