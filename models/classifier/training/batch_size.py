"""The largest batch that fits into the memory of the device."""

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import distributed, nn

from models.classifier.data.labels import CLASSES
from models.classifier.network.networks import build
from models.classifier.training import devices
from models.classifier.training.config import TrainConfig
from models.classifier.training.training_errors import TrainingError

LARGEST = 1024


def batch_size(config: TrainConfig, rows: int, place: devices.Place, network: nn.Module | None = None) -> int:
    """Halve from LARGEST until a step at the largest picture size goes through; the smallest of all processes.

    On a CPU only an allocation that fails is noticed. Raises TrainingError when not even two pictures fit.
    """
    tried = network or build(config.backbone, config.dropout, config.drop_path, config.pad_type)
    tried = tried.to(place.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    size = max(stage.size for stage in config.stages)
    found = min(LARGEST, 1 << (rows // (config.accumulation * place.world)).bit_length() - 1)
    while found >= 2 and not _fits(tried, found, size, config, place.device):  # noqa: PLR2004  (batch norm needs two)
        found //= 2
    shared = torch.tensor(found, device=place.device)
    if distributed.is_initialized():
        distributed.all_reduce(shared, distributed.ReduceOp.MIN)
    if int(shared) < 2:  # noqa: PLR2004
        raise TrainingError(f"not even two pictures of {size} px fit: make stages smaller or take a smaller backbone")
    return int(shared)


def _fits(network: nn.Module, batch: int, size: int, config: TrainConfig, device: torch.device) -> bool:
    """Whether one step, with the optimiser's memory, goes through."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)
    try:
        shown = torch.rand(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision != "fp32"):
            scores = network(shown)
        wanted = torch.arange(batch, device=device) % len(CLASSES)
        nn.functional.cross_entropy(scores.float(), wanted).backward()
        optimizer.step()
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        clear_device_cache()
        return False
    finally:
        network.zero_grad(set_to_none=True)
    return True
