"""One of two processes that fine-tune the tiny model on CPUs: `torchrun … fsdp_worker.py BASE DATA OUT`.

accelerate shards on accelerators only, so the sharding is done here and everything else by the real trainer.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import fully_shard

from models.vlm.data import answers as tables
from models.vlm.training.finetune.trainer import FinetuneTrainer
from tests.models.vlm import tiny

WRAPPED = ("MllamaSelfAttentionDecoderLayer", "MllamaCrossAttentionDecoderLayer", "MllamaVisionEncoderLayer")


class Sharded(FinetuneTrainer):
    """The trainer, with the model cut up as fsdp-8gpu.yaml says."""

    def _prepare(self, model: Any, optimizer: Any) -> tuple[Any, Any]:
        group = optimizer.param_groups[0]
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (self.accelerator.num_processes,))
        for module in model.modules():
            if type(module).__name__ in WRAPPED:
                fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh)
        trained = [p for p in model.parameters() if p.requires_grad]
        fresh = torch.optim.AdamW(trained, lr=group["lr"], weight_decay=group["weight_decay"])
        return model, self.accelerator.prepare_optimizer(fresh)


class Killed(Exception):  # noqa: N818
    """Stands for a power cut."""


class Dying(Sharded):
    """Killed in its third step, after the checkpoint of the second."""

    def _step(self, parts: Any) -> float:
        if self.step == 2:
            raise Killed
        return super()._step(parts)


def main(base: str, data: str, out: str) -> None:
    """The same plan in shards and as copies with an adapter; all weights in shards, undisturbed and killed."""
    adapter = {"lora": {"r": 4, "alpha": 16, "dropout": 0.0}, "epochs": 1, "batch_size": 4}
    full = {"lora": None, "epochs": 1, "batch_size": 4, "gradient_checkpointing": True}
    runs: list[tuple[type[FinetuneTrainer], str, dict[str, Any]]] = [
        (Sharded, "sharded", adapter),
        (FinetuneTrainer, "copies", adapter),
        (Sharded, "full", full),
        (Dying, "killed", full),
        (Sharded, "killed", full),
    ]
    for kind, name, changes in runs:
        plan = tiny.plan(base, **changes)
        run = kind(plan, tables.make_folds(plan, Path(data)), Path(out) / name)
        try:
            run.run()
        except Killed:
            torch.manual_seed(12345)
    run.accelerator.end_training()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
