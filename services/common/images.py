"""Bytes of a picture, from sniffing to an upright RGB picture. The only place where pictures are decoded."""

import io
import warnings
from math import ceil

import numpy as np
import pillow_heif
from PIL import ExifTags, Image

from services.common.errors import Overloaded, UnreadablePicture
from services.common.sniff import sniff

MAX_PIXELS = 50_000_000
MIN_SIDE = 32
BIG_PIXELS = 12_000_000
"""More than this in another format than JPEG is decoded one at a time: 50 megapixels take up to 0.8 GB."""

pillow_heif.register_heif_opener(thumbnails=False)
# Our own limit is checked on the header, before a pixel is decoded; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of broken metadata, in words that differ per file: Python would print and remember each of them.
warnings.filterwarnings("ignore", module=r"PIL\.")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, enough: int) -> Image.Image:
    """Decode to upright RGB without metadata; first frame of an animation.

    A big picture is made smaller as early as its format allows, to a shorter side of at least `enough`
    pixels: decoding outweighs inference, and a small file can hold a picture that fills memory. Raises
    UnsupportedPicture for other formats and UnreadablePicture for a picture that is empty, truncated,
    undecodable, has over 50 megapixels or a side under 32 pixels; Overloaded when memory runs out.
    """
    kind = sniff(data)
    damaged = f"The {kind} picture is truncated or damaged; take or export it again."
    try:
        image = _load(data, kind, enough)
    except UnreadablePicture:
        raise
    except MemoryError as error:
        raise Overloaded("There is not enough memory for this picture at the moment; try again shortly.") from error
    except Exception as error:  # decoders raise many kinds: OSError, SyntaxError, ValueError, struct.error …
        raise UnreadablePicture(damaged) from error
    try:
        small, turn = _reduce(image, enough), _turn(image)
        return _flatten(small if turn is None else small.transpose(turn))
    except MemoryError as error:
        raise Overloaded("There is not enough memory for this picture at the moment; try again shortly.") from error
    except (OSError, SyntaxError, ValueError) as error:  # a palette or transparency that Pillow reads only now
        raise UnreadablePicture(damaged) from error
    # Any other exception is a bug of ours: it stays one, and is not blamed on the file.


def _load(data: bytes, kind: str, enough: int) -> Image.Image:
    """All pixels decoded, JPEG at the smallest scale that leaves `enough`."""
    image = Image.open(io.BytesIO(data), formats=[kind])
    _check_size(image)
    if kind == "JPEG":
        image.draft("RGB", _scaled(image.size, enough))
    image.load()
    return image


def is_big(data: bytes) -> bool:
    """Whether decoding takes a lot of memory, by the header alone; False for what `decode` will refuse anyway."""
    try:
        kind = sniff(data)
        if kind == "JPEG":
            return False  # it is decoded at a reduced scale
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            return BIG_PIXELS < image.width * image.height <= MAX_PIXELS
    except Exception:  # noqa: BLE001  decode() says what is wrong, in words
        return False


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What sets it upright. Not Pillow's exif_transpose: it also rewrites EXIF, and fails on odd cameras' tags."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  broken metadata says nothing against the pixels
        return None


def _reduce(image: Image.Image, enough: int) -> Image.Image:
    """A loaded picture, box-averaged by the largest whole factor that leaves `enough` pixels."""
    factor = min(image.size) // enough
    if factor < 2:  # noqa: PLR2004
        return image.copy()
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    wider = {"1": "L", "I;16": "I", "I;16B": "I"}.get(image.mode)
    if wider is not None:
        image = image.convert(wider)
    return image.reduce(factor)


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadablePicture(
            f"The picture has {width * height / 1e6:.0f} megapixels; at most {MAX_PIXELS / 1e6:.0f} are accepted."
        )
    if min(width, height) < MIN_SIDE:
        raise UnreadablePicture(f"The picture is {width}x{height} pixels; its shorter side must have {MIN_SIDE}.")


def _scaled(size: tuple[int, int], enough: int) -> tuple[int, int]:
    factor = enough / min(size)
    return ceil(size[0] * factor), ceil(size[1] * factor)


def _flatten(image: Image.Image) -> Image.Image:
    """Any mode to RGB. 16-bit grey would be clipped by Pillow, and transparency would show what lies beneath."""
    if image.mode.startswith("I"):
        grey = np.asarray(image, dtype=np.uint32) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        over_white = Image.new("RGBA", image.size, "white")
        over_white.alpha_composite(image.convert("RGBA"))
        image = over_white
    # A new picture: nothing of the file's metadata goes on from here.
    return Image.frombytes("RGB", image.size, image.convert("RGB").tobytes())
