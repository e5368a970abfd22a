"""From an upright RGB picture to what the engine is sent: the one place where its geometry is decided. Torch-free.

Training, calibration and serving all call `prepare`, and `encode` gives every engine the very same bytes.
"""

import io
from typing import Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from models.classifier.serving import preprocess
from models.classifier.serving.preprocess import Filter

Geometry = Literal["keep", "squash", "crop"]


class View(BaseModel):
    """`keep` shrinks to at most `size` pixels a side; `squash` and `crop` make a square of exactly `size`."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    size: int = Field(1120, ge=14, le=4480)
    geometry: Geometry = "keep"
    resample: Filter = "bicubic"


LLAMA = View()
"""Llama 3.2 Vision's canvas: four tiles of 560 pixels. Its own processor cuts it up."""


def prepare(picture: Image.Image, view: View) -> Image.Image:
    """The picture as the engine's own processor is to get it."""
    if view.geometry == "keep":
        width, height = picture.size
        if max(width, height) <= view.size:
            return picture
        scale = view.size / max(width, height)
        sides = max(1, round(width * scale)), max(1, round(height * scale))
        return picture.resize(sides, preprocess.FILTERS[view.resample])
    return Image.fromarray(preprocess.prepare(picture, view.size, view.geometry, view.resample))


def encode(picture: Image.Image, view: View) -> bytes:
    """A prepared picture as a fresh file without metadata: one tile without loss, a canvas as JPEG."""
    fresh = Image.frombytes("RGB", picture.size, picture.tobytes())  # Pillow would write a picture's own comment again
    buffer = io.BytesIO()
    if view.geometry == "keep":
        fresh.save(buffer, "JPEG", quality=95)
    else:
        fresh.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def null_picture(view: View) -> Image.Image:
    """A picture of nothing, for contextual calibration and to tell one engine's model from another's."""
    side = view.size // 2 if view.geometry == "keep" else view.size
    return Image.new("RGB", (side, side), (128, 128, 128))
