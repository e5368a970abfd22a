"""What accelerate, FSDP and threads need around the loop."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from accelerate import Accelerator
from torch.distributed.fsdp import FSDPModule

from models.vlm.training.finetune.finetune_config import FinetuneConfig
from models.vlm.vlm_errors import ShardingError


def accelerator(config: FinetuneConfig) -> Accelerator:
    """For this plan, on whatever `accelerate launch` or torchrun has set up. Raises ShardingError for FSDP 1."""
    made = Accelerator(
        mixed_precision="bf16" if config.precision == "bf16" else "no", gradient_accumulation_steps=config.accumulation
    )
    plugin = getattr(made.state, "fsdp_plugin", None)
    if plugin is not None and plugin.fsdp_version != 2:  # noqa: PLR2004
        raise ShardingError("FSDP must be version 2 (fsdp_version: 2): models/vlm/configs/fsdp-8gpu.yaml is")
    return made


def reshard(model: Any) -> None:
    """Cut the outermost layers up again: FSDP 2 keeps them whole after a pass that no backward pass follows."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def ahead(make: Callable[[int], Any], start: int, stop: int) -> Iterator[Any]:
    """make(start), make(start + 1) …, each begun while the one before it is being used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, start) if start < stop else None
        for step in range(start + 1, stop + 1):
            assert waiting is not None  # noqa: S101
            made = waiting.result()
            waiting = pool.submit(make, step) if step < stop else None
            yield made
