"""Helpers for accelerate, FSDP and background batches."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from accelerate import Accelerator
from torch.distributed.fsdp import FSDPModule

from models.vlm.training.finetune.finetune_config import FinetuneConfig
from models.vlm.vlm_errors import ShardingError


def accelerator(config: FinetuneConfig) -> Accelerator:
    """The accelerator for this plan, as `accelerate launch` or torchrun set up. Raises ShardingError for FSDP 1."""
    created = Accelerator(
        mixed_precision="bf16" if config.precision == "bf16" else "no", gradient_accumulation_steps=config.accumulation
    )
    plugin = getattr(created.state, "fsdp_plugin", None)
    if plugin is not None and plugin.fsdp_version != 2:  # noqa: PLR2004
        raise ShardingError("FSDP must be version 2 (fsdp_version: 2): models/vlm/configs/fsdp-8gpu.yaml is")
    return created


def reshard(model: Any) -> None:
    """Reshard the outermost layers: FSDP 2 leaves them gathered after a forward pass without a backward pass."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def ahead(make: Callable[[int], Any], start: int, stop: int) -> Iterator[Any]:
    """make(start), make(start + 1) …, each computed while the previous result is in use."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, start) if start < stop else None
        for step in range(start + 1, stop + 1):
            assert waiting is not None  # noqa: S101
            result = waiting.result()
            waiting = pool.submit(make, step) if step < stop else None
            yield result
