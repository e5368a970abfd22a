"""One device picked by itself, or one of several processes that torchrun started."""

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from models.classifier.training.training_errors import TrainingError


@dataclass(frozen=True)
class Place:
    """Where this process computes, and which of how many it is."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0


def start() -> Place:
    """Join the processes that torchrun started, on one machine or several; alone, take the best device there is."""
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = _device(int(os.environ.get("LOCAL_RANK", "0")))
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Place(device, rank, world)


def stop() -> None:
    """Leave the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _device(local: int) -> torch.device:
    if not torch.accelerator.is_available():
        return torch.device("cpu")
    if local >= torch.accelerator.device_count():
        raise TrainingError(f"process {local} of this machine has no device: start torchrun with fewer processes")
    torch.accelerator.set_device_index(local)
    found = torch.accelerator.current_accelerator()
    return torch.device(found.type if found else "cpu", local)


def synchronised(network: nn.Module, place: Place) -> nn.Module:
    """Batch norm over all processes; torch has none on the CPU, where each has its own."""
    return convert_sync_batchnorm(network) if place.world > 1 and place.device.type == "cuda" else network


def wrap(network: nn.Module, place: Place) -> nn.Module:
    """The network with its gradients averaged over the processes."""
    if place.world == 1:
        return network
    return DistributedDataParallel(network, device_ids=[place.device.index] if place.device.type == "cuda" else None)


def alone(wrapped: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """No exchange of gradients but after the last of the accumulated batches."""
    if last or not isinstance(wrapped, DistributedDataParallel):
        return contextlib.nullcontext()
    return wrapped.no_sync()


def share_buffers(network: nn.Module, place: Place) -> None:
    """Give every process the first one's running figures: each has seen other pictures."""
    if place.world > 1:
        for buffer in network.buffers():
            distributed.broadcast(buffer, 0)


def gather(value: Any, place: Place) -> list[Any]:
    """The object of every process, in the order of their ranks."""
    found: list[Any] = [value] * place.world
    if place.world > 1:
        distributed.all_gather_object(found, value)
    return found


def ahead(make: Callable[[int], Any], stop: int) -> Iterator[Any]:
    """make(0), make(1) …, each begun while the one before it is being used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, 0) if stop else None
        for step in range(1, stop + 1):
            assert waiting is not None  # noqa: S101
            made = waiting.result()
            waiting = pool.submit(make, step) if step < stop else None
            yield made
