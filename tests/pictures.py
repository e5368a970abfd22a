"""Small pictures for tests, made on the spot: no data set is needed."""

import io
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()


def lesion(width: int = 300, height: int = 225, seed: int = 0) -> Image.Image:
    """A dark, slightly structured blob on skin."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x - width / 2) / (width / 4), (y - height / 2) / (height / 3))
    inside = 1 / (1 + np.exp(12 * (radius - 1)))
    skin, spot = np.array([224, 178, 158]), np.array([92, 58, 48])
    picture = skin + inside[..., None] * (spot - skin) + rng.normal(0, 9, (height, width, 1))
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def encode(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The picture's bytes in a format."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
