"""The class-activation map as a small PNG."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128


def png(heatmap: NDArray[np.float32]) -> str:
    """[h, w] in 0 to 1 to a base64 grey PNG of 128 by 128 pixels, to be stretched over the picture."""
    grey = Image.fromarray((heatmap.clip(0, 1) * 255).astype(np.uint8))
    buffer = io.BytesIO()
    grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
