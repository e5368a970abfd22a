"""Check that an adapter fits a base and an engine. Torch-free: only file headers are read."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.common import safetensors_header
from models.vlm.vlm_errors import AdapterError, VisionAdapterError

RECORD = "melalog.json"
"""In the adapter folder: base, revision, fingerprint, question, labels, view."""
SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SAMPLE = 256


@dataclass(frozen=True)
class Tensor:
    """Name, type, shape and byte range of a tensor in its file."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def headers(folder: Path) -> Iterator[Tensor]:
    """Every tensor of every safetensors file in a folder, without reading any."""
    for file in sorted(folder.glob("*.safetensors")):
        header, begin = safetensors_header.read(file)
        for name, entry in header.items():
            start, end = (begin + offset for offset in entry["data_offsets"])
            yield Tensor(file, name, entry["dtype"], tuple(entry["shape"]), start, end)


def fingerprint(base: Path) -> str:
    """SHA-256 over names, types, shapes and 256 bytes from the middle of every tensor.

    Identifies a base, retrained ones included, in milliseconds; hashing the whole 11B model would take a minute.
    Raises AdapterError when the folder holds no safetensors.
    """
    digest = hashlib.sha256()
    tensors = sorted(headers(base), key=lambda tensor: tensor.name)
    if not tensors:
        raise AdapterError(f"{base} has no safetensors files: it is not a base to train or check an adapter on")
    for tensor in tensors:
        digest.update(f"{tensor.name} {tensor.dtype} {tensor.shape}\n".encode())
        with tensor.file.open("rb") as opened:
            opened.seek(max(tensor.start, (tensor.start + tensor.end - SAMPLE) // 2))
            digest.update(opened.read(min(SAMPLE, tensor.end - tensor.start)))
    return digest.hexdigest()


def check_adapter(adapter: Path, base: Path, *, language_only: bool = True) -> dict[str, Any]:
    """Raise AdapterError unless this adapter was made for this base; return its record (empty without one).

    With `language_only` also raise VisionAdapterError when it changes the vision tower. Without our record only shapes
    are checked.
    """
    for name in (SETTINGS, WEIGHTS):
        if not (adapter / name).is_file():
            raise AdapterError(f"{adapter} has no {name}: give the folder that `melalog train vlm` calls adapter")
    tensors = list(headers(adapter))
    vision = [tensor.name for tensor in tensors if "vision_model" in tensor.name]
    if language_only and vision:
        raise VisionAdapterError(
            f"{adapter} changes the vision tower ({len(vision)} tensors), which this engine would ignore: merge it "
            "(`melalog export vlm`), or train it with lora.vision: false"
        )
    _check_shapes(adapter, tensors, base)
    record: dict[str, Any] = {}
    if (adapter / RECORD).is_file():
        record = json.loads((adapter / RECORD).read_text())
        if record["fingerprint"] != fingerprint(base):
            raise AdapterError(f"{adapter} was made for {record['base']}, whose weights are not those in {base}")
    return record


def _check_shapes(adapter: Path, tensors: list[Tensor], base: Path) -> None:
    settings = json.loads((adapter / SETTINGS).read_text())
    base_name = settings.get("base_model_name_or_path")
    base_shapes = {_plain(tensor.name): tensor.shape for tensor in headers(base)}
    for tensor in tensors:
        matched = re.fullmatch(r"base_model\.model\.(.+)\.lora_([AB])\.weight", tensor.name)
        if matched is None:
            raise AdapterError(f"{adapter} has {tensor.name}: only plain LoRA adapters can be merged")
        shape = base_shapes.get(_plain(matched[1] + ".weight"))
        side = (1, 1) if matched[2] == "A" else (0, 0)
        if shape is None or shape[side[0]] != tensor.shape[side[1]]:
            raise AdapterError(f"{adapter} was made for {base_name}: its {tensor.name} does not fit {base}")


def _plain(name: str) -> str:
    """A weight's name independent of the layout of transformers 4 or 5."""
    name = name.removeprefix("model.")
    return name.replace("language_model.model.", "language_model.").replace("language_model.lm_head", "lm_head")
