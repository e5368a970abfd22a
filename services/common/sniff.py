"""What the first bytes of a picture say, whatever its name or declared type says."""

from typing import Literal

from services.common.errors import FieldError, UnreadablePicture, UnsupportedPicture

Kind = Literal["JPEG", "PNG", "WEBP", "HEIF"]

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}


def sniff(data: bytes) -> Kind:
    """The format's name as Pillow knows it.

    Raises UnreadablePicture for no bytes at all and UnsupportedPicture for any other format.
    """
    if not data:
        raise UnreadablePicture("The picture is empty.")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and _is_heic(data):
        return "HEIF"
    message = "The picture must be JPEG, PNG, WebP or HEIC."
    raise UnsupportedPicture(message, FieldError("image", message))


def _is_heic(data: bytes) -> bool:
    """HEIC by its major or a compatible brand: `mif1` alone could as well be AVIF."""
    end = min(int.from_bytes(data[:4]), 256)
    brands = {data[8:12], *(data[i : i + 4] for i in range(16, end, 4))}
    return bool(brands & _HEIC_BRANDS)
