"""Checkpoints to resume a killed run exactly, on one device or sharded over many."""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

from models.vlm.vlm_errors import VlmCheckpointError

STATE = "state.json"


def trained(model: Any) -> dict[str, torch.Tensor]:
    """The weights that are trained, by name; under FSDP 2 they are shards. They share memory with the model."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def save(folder: Path, accelerator: Any, model: Any, optimizer: Any, state: dict[str, Any]) -> None:
    """Write weights, optimiser, random states and `state`; the folder is replaced only when complete."""
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    if accelerator.is_main_process:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
    accelerator.wait_for_everyone()
    tensors = {"model": trained(model), "optimizer": get_optimizer_state_dict(model, optimizer)}
    with quiet():
        state_dict_saver.save(tensors, checkpoint_id=fresh, no_dist=accelerator.num_processes == 1)
    torch.save(_random_states(), fresh / f"random_{accelerator.process_index}.pt")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (fresh / STATE).write_text(json.dumps(state, indent=1))
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def read_state(folder: Path) -> dict[str, Any] | None:
    """The `state` of the last checkpoint, None where there is none."""
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and (old / STATE).exists():
        return read_state(old)
    if not (folder / STATE).exists():
        return None
    state: dict[str, Any] = json.loads((folder / STATE).read_text())
    return state | {"folder": str(folder)}


def check(state: dict[str, Any], run: dict[str, Any]) -> None:
    """Raise VlmCheckpointError when the checkpoint is of another run."""
    other = sorted(key for key in run if state["run"].get(key) != run[key])
    if other:
        raise VlmCheckpointError(
            f"{state['folder']} was made with another {', '.join(other)}: choose another --out folder, or restore "
            "the former settings"
        )


def load(folder: Path, accelerator: Any, model: Any, optimizer: Any) -> None:
    """Put weights, optimiser and random states back in place."""
    tensors: dict[str, Any] = {"model": trained(model), "optimizer": get_optimizer_state_dict(model, optimizer)}
    with quiet():
        state_dict_loader.load(tensors, checkpoint_id=folder, no_dist=accelerator.num_processes == 1)
    set_optimizer_state_dict(model, optimizer, optim_state_dict=tensors["optimizer"])
    states = torch.load(folder / f"random_{accelerator.process_index}.pt", weights_only=True)
    torch.set_rng_state(states["cpu"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"])


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress torch's warning about a single process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def _random_states() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}
