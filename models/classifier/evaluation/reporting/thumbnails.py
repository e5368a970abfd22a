"""Pictures for the page: the worst errors as the network saw them, with the heat map laid over."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.classifier.data.table import Row
from models.classifier.evaluation.measurement import Decided
from models.classifier.serving.artifact import Input
from models.classifier.serving.preprocess import prepare

SHOWN = 6
SIDE = 224


@dataclass(frozen=True)
class Mistake:
    """One picture that was judged wrongly: data URIs, and what is said under it."""

    picture: str
    heatmap: str
    name: str
    dx: str
    p: float
    hottest: str


def worst(decided: Decided, positive: bool) -> NDArray[np.int64]:
    """Places in `decided` of the positives with the lowest, or the negatives with the highest, probability."""
    places = np.flatnonzero(decided.truth == positive)
    order = np.argsort(decided.p[places] if positive else -decided.p[places], kind="stable")
    return places[order[:SHOWN]]


def mistakes(
    decided: Decided, places: Sequence[int], rows: Sequence[Row], heatmaps: NDArray[Any], wanted: Input
) -> list[Mistake]:
    """Those pictures, read again at a size one can look at. heatmaps: [N, h, w] in 0 to 1."""
    return [_mistake(rows[decided.rows[i]], decided.p[i], heatmaps[decided.rows[i]], wanted) for i in places]


def _mistake(row: Row, p: float, heat: NDArray[Any], wanted: Input) -> Mistake:
    with Image.open(row.path) as image:
        picture = prepare(ImageOps.exif_transpose(image).convert("RGB"), SIDE, wanted.geometry, wanted.resample)
    return Mistake(
        picture=_uri(picture),
        heatmap=_uri(overlay(picture, heat)),
        name=row.path.name,
        dx=row.dx,
        p=float(p),
        hottest=_place(heat),
    )


def _place(heat: NDArray[Any]) -> str:
    """Where the map peaks, in words for who cannot see it."""
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    vertical = ("upper", "middle", "lower")[3 * int(row) // heat.shape[0]]
    horizontal = ("left", "centre", "right")[3 * int(column) // heat.shape[1]]
    return f"{vertical} {horizontal}" if heat.max() > 0 else "nowhere"


def overlay(picture: NDArray[np.uint8], heat: NDArray[Any]) -> NDArray[np.uint8]:
    """The heat map [h, w] over a picture [S, S, 3]: the hotter, the less of the picture is seen."""
    side = picture.shape[0]
    grown = Image.fromarray(np.asarray(heat, np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    amount = np.clip(np.asarray(grown), 0, 1)[..., None]
    coloured = mpl.colormaps["inferno"](amount[..., 0])[..., :3] * 255
    mixed = picture * (1 - 0.6 * amount) + coloured * 0.6 * amount
    laid: NDArray[np.uint8] = mixed.round().astype(np.uint8)
    return laid


def _uri(picture: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
