"""Decoding: every kind of picture people send comes out upright, RGB and bare; nothing else ever comes out."""

import io
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from models.classifier.serving.preprocess import prepare
from services.common import images
from services.common.errors import Overloaded, UnreadablePicture, UnsupportedPicture
from tests.pictures import encode, lesion

# As services.common.images sets it for the services; pytest's own filters would make errors of these.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::UserWarning:PIL.{plugin}")
    for plugin in ("Image", "JpegImagePlugin", "PngImagePlugin", "TiffImagePlugin")
]

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
ENOUGH = 288


def scene(width: int = 120, height: int = 90) -> NDArray[np.uint8]:
    """Smooth, in colour, and different in every corner: what is turned or mirrored does not look the same."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / width, 255 * y / height, 200 - 150 * (x / width) * (y / height)]
    return np.stack(channels, 2).astype(np.uint8)


def exif(orientation: int = 1) -> bytes:
    """With a GPS position, as phones write it."""
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010F] = "Phone"
    found[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return found.tobytes()


def stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """How a camera stores an upright scene under each EXIF orientation, by the standard's own table."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]


def error(found: Image.Image, expected: NDArray[np.uint8]) -> float:
    """Mean absolute difference in grey levels, sizes made equal."""
    resized = Image.fromarray(expected).resize(found.size, Image.Resampling.BOX)
    return float(np.abs(np.asarray(found, float) - np.asarray(resized, float)).mean())


def alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own: to measure its memory, or to see its warnings as an operator would."""
    start = "import io, resource, sys\nfrom services.common import images\nfrom services.common.errors import *\n"
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("side", [64, 32], ids=["whole", "reduced"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_and_bare_whatever_the_camera_stored(kind: str, side: int, orientation: int) -> None:
    sent = encode(Image.fromarray(np.ascontiguousarray(stored(scene(), orientation))), kind, exif=exif(orientation))
    assert b"Phone" in sent
    found = images.decode(sent, side)
    assert found.mode == "RGB"
    assert found.width > found.height >= side
    assert error(found, scene()) < 3
    assert not found.info
    assert not found.getexif()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"optimize": True, "icc_profile": b"\0" * 128}),
        ("PNG", {"optimize": True}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 80}),
        ("HEIF", {"quality": 90}),
        ("HEIF", {"quality": -1, "chroma": 444}),
    ],
)
def test_encodings_of_one_scene(kind: str, options: dict[str, Any]) -> None:
    assert error(images.decode(encode(Image.fromarray(scene()), kind, **options), 90), scene()) < 3


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "L"), ("PNG", "1"), ("PNG", "LA")])
@pytest.mark.parametrize("side", [90, 30], ids=["whole", "reduced"])
def test_colour_modes(kind: str, mode: str, side: int) -> None:
    sent = Image.fromarray(scene()).convert(mode)
    found = images.decode(encode(sent, kind), side)
    assert found.mode == "RGB"
    assert error(found, np.asarray(sent.convert("RGB"))) < 6


@pytest.mark.parametrize("side", [90, 30], ids=["whole", "reduced"])
def test_sixteen_bit_grey_keeps_its_tones(side: int) -> None:
    """Pillow's own conversion clips everything above 255 of 65,535 to white."""
    tones = np.tile(np.linspace(0, 65535, 120).astype(np.uint16), (90, 1))
    found = np.asarray(images.decode(encode(Image.fromarray(tones), "PNG"), side), int)[0, :, 0]
    assert np.all(np.diff(found) >= 0)
    assert np.abs(found - np.linspace(0, 255, len(found))).max() <= 3


def test_sixteen_bit_colour() -> None:
    """Pillow writes no such PNG, so the file is put together here."""
    rows = b"".join(b"\0" + row.tobytes() for row in (scene().astype(">u2") * 257).reshape(90, -1))
    header = struct.pack(">IIBBBBB", 120, 90, 16, 2, 0, 0, 0)
    found = images.decode(png(header, zlib.compress(rows)), 90)
    assert error(found, scene()) == 0


@pytest.mark.parametrize("side", [90, 30], ids=["whole", "reduced"])
@pytest.mark.parametrize("colours", [2, 16, 256])
def test_palette(colours: int, side: int) -> None:
    sent = Image.fromarray(scene()).quantize(colours)
    assert error(images.decode(encode(sent, "PNG"), side), np.asarray(sent.convert("RGB"))) < 1


@pytest.mark.parametrize("side", [90, 30], ids=["whole", "reduced"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB-key", "L-key"])
def test_what_is_transparent_is_white_and_hides_nothing(mode: str, side: int) -> None:
    """Left half opaque dark, right half transparent over a pattern that must not show."""
    pixels = np.full((90, 120, 4), (40, 40, 40, 255), np.uint8)
    pixels[:, 60:] = (90, 90, 90, 0)
    whole = Image.fromarray(pixels)
    if mode == "P":
        grey = Image.fromarray(np.where(pixels[..., 3] > 0, 1, 2).astype(np.uint8))
        grey.putpalette([0, 0, 0, 40, 40, 40, 90, 90, 90])
        sent = encode(grey, "PNG", transparency=bytes([255, 255, 0]))
    elif mode.endswith("-key"):
        key = 90 if mode == "L-key" else (90, 90, 90)
        sent = encode(whole.convert("RGB").convert(mode[:-4]), "PNG", transparency=key)
    else:
        sent = encode(whole.convert(mode), "PNG")
    found = np.asarray(images.decode(sent, side), int)
    width = found.shape[1]
    assert np.all(found[:, : width // 2 - 1] == 40)
    assert np.all(found[:, width // 2 + 1 :] == 255)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF", "MPO"])
def test_of_several_frames_the_first_is_taken(kind: str) -> None:
    others = [Image.fromarray(scene()[::-1].copy()), Image.new("RGB", (120, 90))]
    sent = encode(Image.fromarray(scene()), kind, save_all=True, append_images=others)
    assert error(images.decode(sent, 90), scene()) < 3


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "AVIF", "PPM", "PDF", "JPEG2000", "ICO"])
def test_other_picture_formats_are_unsupported(kind: str) -> None:
    with pytest.raises(UnsupportedPicture, match="JPEG, PNG, WebP or HEIC"):
        images.decode(encode(Image.fromarray(scene()), kind), 64)


def test_another_format_behind_a_known_signature_is_unreadable() -> None:
    """Only the decoder that the signature names is ever tried."""
    gif = encode(Image.fromarray(scene()).convert("P"), "GIF")
    for signature in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(UnreadablePicture):
            images.decode(signature + gif, 64)


def test_an_avif_that_calls_itself_heic_is_unreadable() -> None:
    avif = encode(Image.fromarray(scene()), "AVIF")
    assert avif.index(b"miaf") < 40
    with pytest.raises(UnreadablePicture):
        images.decode(avif.replace(b"miaf", b"heic", 1), 64)


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (400, 31)])
def test_too_small(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadablePicture, match=f"{size[0]}x{size[1]} pixels; its shorter side must have 32"):
        images.decode(encode(Image.new("RGB", size), "PNG"), 64)


@pytest.mark.parametrize("kind", FORMATS)
def test_just_large_enough(kind: str) -> None:
    assert images.decode(encode(Image.new("RGB", (32, 32)), kind), ENOUGH).size == (32, 32)


def png(header: bytes, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def huge(kind: str) -> bytes:
    """A small file whose header claims some 200 megapixels (WebP: 16,383 squared, its largest)."""
    if kind == "PNG":
        return png(struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0), zlib.compress(b"\0" * 1000))
    whole = encode(Image.fromarray(scene()), kind, **({"lossless": True} if kind == "WEBP" else {}))
    if kind == "JPEG":
        return whole.replace(struct.pack(">HH", 90, 120), struct.pack(">HH", 10_000, 20_000), 1)
    if kind == "WEBP":
        at = whole.index(b"VP8L") + 9
        return whole[:at] + struct.pack("<I", 16_382 | 16_382 << 14) + whole[at + 4 :]
    at = whole.index(b"ispe") + 8
    return whole[:at] + struct.pack(">II", 20_000, 10_000) + whole[at + 8 :]


def test_too_many_pixels_are_refused_on_the_header_without_taking_memory() -> None:
    """200 megapixels decoded would take 600 MB."""
    code = f"before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nfor data in {[huge(k) for k in FORMATS]!r}:\n"
    code += """
    try:
        images.decode(data, 288)
    except UnreadablePicture as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    *messages, grown = alone(code).stdout.splitlines()
    assert len(messages) == 4
    assert [message for message in messages[:3] if "megapixels; at most 50 are accepted" not in message] == []
    assert int(grown) < 30, "megabytes"


def test_a_big_picture_that_fails_does_not_keep_others_waiting() -> None:
    """Very big pictures are decoded one at a time, and a damaged one must not keep the turn."""
    sent = encode(Image.new("L", (4000, 3100)), "PNG")
    for data in (sent[: len(sent) // 2], sent[: len(sent) // 3]):
        with pytest.raises(UnreadablePicture):
            images.decode(data, ENOUGH)
    assert min(images.decode(sent, ENOUGH).size) >= ENOUGH


@cache
def large_jpeg() -> bytes:
    picture = lesion(1000, 750).resize((4000, 3000), Image.Resampling.BICUBIC)
    return encode(picture, "JPEG", quality=90)


def test_a_large_jpeg_is_decoded_small_and_looks_the_same() -> None:
    sent = large_jpeg()
    found = images.decode(sent, ENOUGH)
    assert ENOUGH <= min(found.size) < 2 * ENOUGH
    with Image.open(io.BytesIO(sent)) as whole:
        expected = prepare(whole, 144)
    difference = np.abs(prepare(found, 144).astype(int) - expected.astype(int))
    assert difference.mean() < 1
    assert difference.max() <= 8


@settings(max_examples=40)
@given(
    st.sampled_from(["JPEG", "PNG"]),
    st.integers(32, 900),
    st.integers(32, 900),
    st.integers(32, 400),
    st.integers(1, 8),
)
def test_never_smaller_than_enough_nor_larger_than_sent(
    kind: str, width: int, height: int, side: int, orientation: int
) -> None:
    found = images.decode(encode(Image.new("L", (width, height)), kind, exif=exif(orientation)), side)
    assert min(found.size) >= min(side, width, height)
    assert max(found.size) <= max(width, height)
    shape = found.width / found.height if orientation < 5 else found.height / found.width
    assert shape == pytest.approx(width / height, rel=0.06)


@cache
def samples() -> tuple[bytes, ...]:
    small = Image.fromarray(scene(60, 45))
    frames: dict[str, Any] = {"save_all": True, "append_images": [small.rotate(180)]}
    return (
        encode(small, "JPEG", exif=exif(6)),
        encode(small, "JPEG", progressive=True),
        encode(small, "MPO", **frames),
        encode(small, "PNG", exif=exif(6)),
        encode(small, "PNG", **frames),
        encode(small.quantize(8), "PNG", transparency=bytes(range(8))),
        encode(small, "WEBP", exif=exif(6)),
        encode(small, "WEBP", lossless=True, **frames),
        encode(small, "HEIF", exif=exif(6)),
    )


whole = st.deferred(lambda: st.sampled_from(samples()))


@settings(max_examples=300)
@given(st.data(), whole)
def test_a_damaged_picture_decodes_or_is_refused_and_nothing_else(data: st.DataObject, sent: bytes) -> None:
    damaged = bytearray(sent)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadablePicture, UnsupportedPicture):
        found = images.decode(bytes(damaged), 32)
        assert found.mode == "RGB"
        assert min(found.size) >= 32


@settings(max_examples=300)
@given(st.data(), whole)
def test_a_truncated_picture_is_refused(data: st.DataObject, sent: bytes) -> None:
    """Unless all of its first frame is there: an animation may lose a later one, a PNG its last checksums."""
    cut = data.draw(st.integers(1, len(sent) - 1))
    with suppress(UnreadablePicture, UnsupportedPicture):
        found = images.decode(sent[:cut], 32)
        assert sent in samples()[2:6]
        assert np.array_equal(np.asarray(found), np.asarray(images.decode(sent, 32)))


@settings(max_examples=100)
@given(st.binary(max_size=200), st.sampled_from([b"", *(s[:20] for s in samples())]))
def test_arbitrary_bytes_are_refused(data: bytes, start: bytes) -> None:
    with pytest.raises((UnreadablePicture, UnsupportedPicture)):
        images.decode(start + data, 32)


BROKEN_EXIF = [
    b"Exif\0\0not a TIFF file at all",
    b"Exif\0\0MM\0*\0\0\0\x08\0\x05",
    exif(6)[:40],
    exif(6).replace(struct.pack(">HHI", 0x0112, 3, 1), struct.pack(">HHI", 0x0112, 2, 200_000)),
    exif(6).replace(struct.pack(">HHI", 0x0112, 3, 1), struct.pack(">HHI", 0x0112, 12, 1)),
]


@pytest.mark.parametrize("broken", BROKEN_EXIF, ids=range(len(BROKEN_EXIF)))
def test_broken_metadata_says_nothing_against_the_pixels(broken: bytes) -> None:
    assert error(images.decode(encode(Image.fromarray(scene()), "JPEG", exif=broken), 90), scene()) < 3


def test_broken_metadata_is_not_worth_a_warning() -> None:
    """Pillow warns in words that differ per file; a service's output is JSON lines."""
    sent = [encode(Image.fromarray(scene()), "JPEG", exif=broken) for broken in BROKEN_EXIF]
    mpo = encode(Image.fromarray(scene()), "MPO", save_all=True, append_images=[Image.fromarray(scene())])
    sent.append(mpo.replace(b"MPF\0MM\0*", b"MPF\0MM\0+").replace(b"MPF\0II*\0", b"MPF\0II+\0"))
    found = alone(f"for data in {sent!r}:\n    print(images.decode(data, 288).size)")
    assert found.stdout == "(120, 90)\n" * len(sent)
    assert found.stderr == ""


def test_a_bug_of_ours_is_not_called_a_damaged_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_: Image.Image) -> Image.Image:
        raise AttributeError

    monkeypatch.setattr(images, "_flatten", bug)
    with pytest.raises(AttributeError):
        images.decode(encode(lesion(64, 64)), 32)


@pytest.mark.parametrize("step", ["_load", "_flatten"])
def test_a_picture_that_memory_has_no_room_for_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> Image.Image:
        raise MemoryError

    monkeypatch.setattr(images, step, full)
    with pytest.raises(Overloaded, match="not enough memory"):
        images.decode(encode(lesion(64, 64)), 32)
