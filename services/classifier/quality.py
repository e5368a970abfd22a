"""Is the picture good enough to judge? Sharpness and exposure, on the scale the network works at."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.contracts import PictureFinding

SIDE = 144
"""Measured at this size, because blur that the network cannot see does no harm."""
MIN_SHARPNESS = 0.008
"""Mean absolute second difference over the contrast's deviation; see docs/models/picture-quality.md."""
DARK, BRIGHT = 0.15, 0.95
FLAT = 0.02


def judge(picture: Image.Image) -> PictureFinding:
    """Judge an upright RGB picture."""
    grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    light = np.asarray(grey, dtype=np.float32) / np.float32(255)
    problems: list[str] = []
    if light.mean() < DARK:
        problems.append("dark")
    if light.mean() > BRIGHT:
        problems.append("bright")
    if light.std() < FLAT:
        problems.append("flat")
    elif sharpness(light) < MIN_SHARPNESS:
        problems.append("blurred")
    return PictureFinding.model_validate({"quality": "poor" if problems else "good", "problems": problems})


def sharpness(light: NDArray[np.float32]) -> float:
    """Mean absolute Laplacian over the standard deviation: what blur lowers and contrast does not change."""
    middle = light[1:-1, 1:-1]
    laplacian = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:] - 4 * middle
    return float(np.abs(laplacian).mean() / light.std())
