"""Prepare an upright RGB image for the engine: geometry and encoding. Torch-free.

Training, calibration and serving all call `prepare`, and `encode` gives every engine the same bytes.
"""

import io
from typing import Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from models.common.geometry import FILTERS, Filter, square

Geometry = Literal["keep", "squash", "crop"]


class View(BaseModel):
    """`keep` shrinks to at most `size` pixels a side; `squash` and `crop` make a square of exactly `size`."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    size: int = Field(1120, ge=14, le=4480)
    geometry: Geometry = "keep"
    resample: Filter = "bicubic"


LLAMA = View()
"""Llama 3.2 Vision's canvas: four tiles of 560 pixels. Its processor splits it."""


def prepare(image: Image.Image, view: View) -> Image.Image:
    """The image in the geometry that the engine's processor expects."""
    if view.geometry == "keep":
        width, height = image.size
        if max(width, height) <= view.size:
            return image
        scale = view.size / max(width, height)
        sides = max(1, round(width * scale)), max(1, round(height * scale))
        return image.resize(sides, FILTERS[view.resample])
    return square(image, view.size, view.geometry, view.resample)


def encode(image: Image.Image, view: View) -> bytes:
    """A prepared image as a fresh file without metadata: PNG for one tile, JPEG for a canvas."""
    fresh = Image.frombytes("RGB", image.size, image.tobytes())  # Pillow would write the image's comment again
    buffer = io.BytesIO()
    if view.geometry == "keep":
        fresh.save(buffer, "JPEG", quality=95)
    else:
        fresh.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def null_image(view: View) -> Image.Image:
    """A uniform grey image, for contextual calibration and to identify the model of an engine."""
    side = view.size // 2 if view.geometry == "keep" else view.size
    return Image.new("RGB", (side, side), (128, 128, 128))
