"""The largest batch that fits into the memory of the device."""

import torch
from accelerate.utils.memory import find_executable_batch_size
from torch import distributed, nn

from models.classifier.config import TrainConfig
from models.classifier.network import build
from models.classifier.train import devices
from models.classifier.train.errors import TrainingError

LARGEST = 1024


def batch_size(config: TrainConfig, rows: int, place: devices.Place, network: nn.Module | None = None) -> int:
    """Go down from LARGEST until a step at the largest picture size goes through; the smallest of all processes.

    On a CPU only an allocation that fails is noticed. Raises TrainingError when not even two pictures fit.
    """
    tried = network or build(config.backbone, config.dropout, config.drop_path, config.pad_type)
    tried = tried.to(place.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    size = max(stage.size for stage in config.stages)
    start = min(LARGEST, 1 << (rows // (config.accumulation * place.world)).bit_length() - 1)

    @find_executable_batch_size(starting_batch_size=start)  # type: ignore[untyped-decorator]
    def step(batch: int) -> int:
        if batch < 2:  # noqa: PLR2004  (batch norm needs two)
            raise TrainingError(f"not even two pictures of {size} px fit: lower stages or take a smaller backbone")
        optimizer = torch.optim.AdamW(tried.parameters(), lr=0.0)
        shown = torch.rand(batch, 3, size, size, device=place.device)
        with torch.autocast(place.device.type, torch.bfloat16, enabled=config.precision != "fp32"):
            scores = tried(shown.contiguous(memory_format=torch.channels_last))
        nn.functional.cross_entropy(
            scores.float(), torch.zeros(batch, dtype=torch.long, device=place.device)
        ).backward()
        optimizer.step()
        tried.zero_grad(set_to_none=True)
        return batch

    found = torch.tensor(int(step()), device=place.device)
    if distributed.is_initialized():
        distributed.all_reduce(found, distributed.ReduceOp.MIN)
    return int(found)
