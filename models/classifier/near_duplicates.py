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

HASH_DISTANCE = 10
"""Bits of 64 in which the perceptual hashes of candidates may differ; the small pictures decide."""
CORRELATION = 0.98
SIDE = 32
READERS = 4
BLOCK = 2048
_FLAT = 1.0
"""Grey levels: a picture that varies less is all of one colour."""


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

    Every hash is compared with every other: 10,000 pictures take a second, 33,000 some ten.
    """
    hashes = np.array([one.phash for one in prints], np.uint64)
    pictures = np.stack([_standardised(one.small) for one in prints]) if prints else np.empty((0, SIDE**2))
    for start in range(0, len(hashes), BLOCK):
        block = hashes[start : start + BLOCK]
        distance = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        first, second = np.nonzero(distance <= HASH_DISTANCE)
        for a, b in zip(first + start, second + start, strict=True):
            if a < b and prints[a].sha256 != prints[b].sha256:
                correlation = float(pictures[a] @ pictures[b])
                if correlation >= CORRELATION:
                    yield int(a), int(b), correlation


def _standardised(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean 0 and length 1, so that a product is a correlation; a flat picture is like no other."""
    values = small.ravel().astype(np.float32)
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6) if values.std() > _FLAT else np.zeros_like(values)
