"""How an image becomes a square of a network's size."""

from typing import Literal

from PIL import Image

Geometry = Literal["squash", "crop"]
"""`squash` keeps the whole frame and gives up its aspect ratio; `crop` takes the middle square."""
Filter = Literal["bilinear", "bicubic", "lanczos"]

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def square(image: Image.Image, size: int, geometry: Geometry, resample: Filter) -> Image.Image:
    """An RGB image of `size` by `size` pixels."""
    width, height = image.size
    box: tuple[float, float, float, float] = (0, 0, width, height)
    if geometry == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return image.resize((size, size), FILTERS[resample], box=box)
