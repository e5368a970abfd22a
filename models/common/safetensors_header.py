"""Names, shapes and types in a safetensors file, from its header alone: no tensor is read, and no torch is needed."""

import json
from pathlib import Path
from typing import Any

MAX_HEADER = 100_000_000
"""Bytes; the format's own limit."""


def read(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """Each tensor's `dtype`, `shape` and `data_offsets` by name, and the byte that the offsets count from.

    Raises ValueError for a file that is not safetensors, OSError where it cannot be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= MAX_HEADER:
            raise ValueError(f"{path} is not a safetensors file")
        try:
            header = dict(json.loads(file.read(length)))
        except (ValueError, TypeError):
            raise ValueError(f"{path} is not a safetensors file") from None
    header.pop("__metadata__", None)
    return header, 8 + length
