"""From an upright RGB image to the graph's input.

Training, calibration and serving all call `prepare`; the manifest records the settings, so
that nothing can drift between them (docs/architecture.md).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.common.geometry import Filter, Geometry, square


def prepare(
    image: Image.Image, size: int, geometry: Geometry = "squash", resample: Filter = "bilinear"
) -> NDArray[np.uint8]:
    """Resize an RGB image to a uint8 array [size, size, 3]."""
    return np.asarray(square(image, size, geometry, resample), dtype=np.uint8)
