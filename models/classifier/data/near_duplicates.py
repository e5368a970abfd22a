"""Pictures that are the same but for size, compression or a little colour. Crops, flips and rotations are not found."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track
from scipy.ndimage import gaussian_filter

Vector = NDArray[np.float32]

HASH_DISTANCE = 12
"""Bits of 64 in which the perceptual hashes of candidates may differ."""
CORRELATION = 0.95
DETAIL = 0.87
"""Least correlation of the small pictures, and of what is finer than a blur in their middle: two lesions in the same
round frame agree in the first only. Set by eye on the 13,273 pictures of docs/models/data.md, where these found 12 of
13 pairs that no list had, without a wrong one."""
SIDE = 64
MARGIN = 8
BLUR = 4.0
READERS = 4
BLOCK = 1024
FLAT = 0.1
"""Standard deviation in grey levels: what varies less is all of one colour."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a picture that could be read."""

    sha256: str
    phash: int
    small: NDArray[np.uint8]
    """Grey, [SIDE, SIDE], the whole frame squashed."""
    width: int
    height: int


def fingerprint(path: Path) -> Fingerprint | str:
    """The fingerprint, or in words why there is none."""
    try:
        content = path.read_bytes()
        with Image.open(path) as image:
            width, height = image.size
            image.draft("RGB", (256, 256))
            grey = ImageOps.exif_transpose(image).convert("L")
    except FileNotFoundError:
        return "the file is not there"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__
    bits = imagehash.phash(grey).hash.ravel()
    small = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Fingerprint(
        sha256=hashlib.sha256(content).hexdigest(),
        phash=int.from_bytes(np.packbits(bits).tobytes()),
        small=np.asarray(small, np.uint8),
        width=width,
        height=height,
    )


def fingerprints(paths: Sequence[Path]) -> list[Fingerprint | str]:
    """One for each path, in order, with a progress bar."""
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(fingerprint, paths)
        return list(track(found, description=f"reading {len(paths)} pictures", total=len(paths)))


def near(prints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, float]]:
    """(first, second, correlation) of each pair of different files that show the same picture.

    Every hash is compared with every other: 13,000 pictures take two seconds, 33,000 some fifteen.
    """
    views: dict[int, tuple[Vector, Vector]] = {}
    for a, b in _candidates(np.array([one.phash for one in prints], np.uint64)):
        if prints[a].sha256 == prints[b].sha256:
            continue
        for i in (a, b):
            if i not in views:
                views[i] = _views(prints[i].small)
        correlation, detail = (float(x @ y) for x, y in zip(views[a], views[b], strict=True))
        if correlation >= CORRELATION and detail >= DETAIL:
            yield a, b, correlation


def _candidates(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    for start in range(0, len(hashes), BLOCK):
        distance = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:])
        for a, b in np.argwhere(distance <= HASH_DISTANCE) + start:
            if a < b:
                yield int(a), int(b)


def _views(small: NDArray[np.uint8]) -> tuple[Vector, Vector]:
    """The picture, and what is finer than a blur in its middle, each with mean 0 and length 1."""
    values = small.astype(np.float32)
    fine = (values - gaussian_filter(values, BLUR))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return _standardised(values), _standardised(fine)


def _standardised(values: NDArray[np.float32]) -> Vector:
    """So that a product is a correlation; a flat picture is like no other."""
    flat = values.ravel() - values.mean()
    length = float(np.linalg.norm(flat))
    return flat / length if length > FLAT * flat.size**0.5 else np.zeros_like(flat)
