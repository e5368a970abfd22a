"""Is the picture good enough to judge? Sharpness and exposure, on the scale the network works at."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.contracts import PictureFinding

SIDE = 144
"""Measured at this size, because blur that the network cannot see does no harm."""
MIN_SHARPNESS = 0.035
"""Measured on 600 training pictures each of HAM10000, ISIC 2017 and PAD-UFES-20: none is below it; of the same
pictures blurred by 3 % of their shorter side, 93 to 98 % are."""
DARK, BRIGHT = 0.15, 0.95
FLAT = 0.02


def judge(picture: Image.Image) -> PictureFinding:
    """Judge an upright RGB picture."""
    # Not as bytes: rounding to 256 levels alone would look as sharp as many a picture is.
    grey = picture.convert("F").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
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
