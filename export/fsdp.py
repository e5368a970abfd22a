"""Convert a sharded checkpoint of full fine-tuning to a folder that engines load."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import state_dict_loader
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from transformers import GenerationConfig, MllamaForConditionalGeneration

from export.vlm_layout import write_layout
from models.vlm.training.finetune import base as bases
from models.vlm.training.finetune.adapter_checkpoint import quiet
from models.vlm.vlm_errors import VlmCheckpointError

WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.", "module.")
RENAMED = (
    ("language_model.model.", "model.language_model."),
    ("language_model.lm_head.", "lm_head."),
    ("vision_model.", "model.vision_model."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
)
"""Names in transformers 4, under which llama-cookbook trains, and in 5."""
SHOWN = 8


def consolidate(checkpoint: Path, base: str, out: Path, revision: str | None = None) -> Path:
    """Write `out`: the weights of `checkpoint`, with processor and precision of `base`, in the layout engines read.

    Reads what `torch.distributed.checkpoint` wrote (our trainer's `best` and `last`, accelerate's, llama-cookbook's) in
    one process, however many wrote it. Every weight of the base's configuration must be there, in its shape; else
    VlmCheckpointError. Its index is a pickle: use it on trusted checkpoints only.
    """
    if out.exists():
        raise VlmCheckpointError(f"{out} exists already: choose another folder, or remove it")
    if not (checkpoint / ".metadata").is_file():
        raise VlmCheckpointError(
            f"{checkpoint} is not a sharded checkpoint (no .metadata): give the folder that holds it"
        )
    folder = bases.locate(base, revision, only_config=True)
    config = bases.read_config(folder)
    with torch.device("meta"):
        model: Any = MllamaForConditionalGeneration(config)
    stored = _stored(checkpoint)
    names = _match(stored, model.state_dict(), checkpoint)
    state = {key: torch.empty(stored[key].size, dtype=stored[key].properties.dtype) for key in names.values()}
    with quiet():
        state_dict_loader.load(state, storage_reader=FileSystemReader(checkpoint), no_dist=True)
    model.load_state_dict({name: state[key] for name, key in names.items()}, assign=True)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    precision = str(getattr(config, "dtype", None) or torch.float32).removeprefix("torch.")
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_layout(model, bases.load_processor(folder, config), fresh, precision)
    fresh.rename(out)
    return out


def _stored(checkpoint: Path) -> dict[str, TensorStorageMetadata]:
    """Every weight in the checkpoint, without optimiser state."""
    entries = FileSystemReader(checkpoint).read_metadata().state_dict_metadata
    weights = {
        key: entry
        for key, entry in entries.items()
        if isinstance(entry, TensorStorageMetadata) and not key.startswith(("optimizer.", "optim."))
    }
    if any(".lora_" in key for key in weights):
        raise VlmCheckpointError(
            f"{checkpoint} is a LoRA run, whose adapter needs no conversion: use the folder `adapter` next to it"
        )
    return weights


def _match(
    stored: Mapping[str, TensorStorageMetadata], expected: Mapping[str, torch.Tensor], checkpoint: Path
) -> dict[str, str]:
    """The stored key of every expected name. Raises VlmCheckpointError naming what is missing, unknown or misshapen."""
    names, unknown = {}, []
    for key in stored:
        name = next((name for name in _candidates(key) if name in expected), None)
        if name is None:
            unknown += [key] if not key.endswith("inv_freq") else []
        else:
            names[name] = key
    faults = {
        "missing": sorted(set(expected) - set(names)),
        "not in the base": sorted(unknown),
        "of another shape": sorted(name for name, key in names.items() if stored[key].size != expected[name].shape),
    }
    messages = [f"{len(keys)} {kind} ({', '.join(keys[:SHOWN])})" for kind, keys in faults.items() if keys]
    if messages:
        raise VlmCheckpointError(
            f"{checkpoint} does not fit the base: {'; '.join(messages)}. Give the base that was trained, and a "
            "complete checkpoint"
        )
    return names


def _candidates(key: str) -> list[str]:
    """Possible names in the model of a stored key: without wrappers, with and without the outer `model.`."""
    for wrapper in WRAPPERS:
        key = key.replace(wrapper, "")
    plain = [key, key.removeprefix("model.")]
    renamed = [new + name.removeprefix(old) for name in plain for old, new in RENAMED if name.startswith(old)]
    return plain + renamed
