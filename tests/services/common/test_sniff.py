"""What the first bytes say."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import UnreadablePicture, UnsupportedPicture
from services.common.sniff import sniff


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16 + 4 * len(compatible), b"ftyp", major, 0) + b"".join(compatible) + b"\0" * 16


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\xff\xd8\xff\xdb", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8X", "WEBP"),
        (ftyp(b"heic", b"mif1", b"heic"), "HEIF"),
        (ftyp(b"heix"), "HEIF"),
        (ftyp(b"mif1", b"miaf", b"heic"), "HEIF"),
        (ftyp(b"msf1", b"hevc"), "HEIF"),
    ],
)
def test_the_four_formats(data: bytes, kind: str) -> None:
    assert sniff(data) == kind


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a",
        b"BM\x00\x00",
        b"II*\x00",
        b"MM\x00*",
        b"%PDF-1.7",
        b"<svg xmlns=",
        b"hello",
        b"\xff\xd8",
        b"\x89PNG\n",
        b"RIFF\x00\x00\x00\x00WAVE",
        b"\x00\x00\x00\x0cjP  \r\n\x87\n",
        ftyp(b"avif", b"mif1", b"miaf"),
        ftyp(b"mif1", b"avif", b"miaf"),
        ftyp(b"isom", b"mp42"),
        b"\x00" * 64,
    ],
)
def test_anything_else_is_unsupported_and_says_what_is_taken(data: bytes) -> None:
    with pytest.raises(UnsupportedPicture, match="JPEG, PNG, WebP or HEIC") as caught:
        sniff(data)
    assert [error.field for error in caught.value.errors] == ["image"]


def test_a_brand_beyond_the_first_box_does_not_count() -> None:
    with pytest.raises(UnsupportedPicture):
        sniff(ftyp(b"isom") + b"heic" * 8)


def test_no_bytes_are_an_unreadable_picture() -> None:
    with pytest.raises(UnreadablePicture, match="empty"):
        sniff(b"")


@given(st.binary(max_size=64))
def test_never_raises_anything_else(data: bytes) -> None:
    with suppress(UnreadablePicture, UnsupportedPicture):
        assert sniff(data) in {"JPEG", "PNG", "WEBP", "HEIF"}
