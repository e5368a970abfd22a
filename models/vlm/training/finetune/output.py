"""Output of a run: the best adapter (or model) and its card."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.distributed.checkpoint import state_dict_saver
from torch.distributed.tensor import DTensor

from models.classifier.evaluation import statistics
from models.vlm.data.answers import FinetuneFolds, is_yes
from models.vlm.network import adapter
from models.vlm.training.finetune import adapter_checkpoint
from models.vlm.training.finetune.finetune_config import FinetuneConfig

CARD = """\
# {kind} of {base}

Research software, not a medical device. It must not be used to decide on anybody's care.

**Use.** Answers "{question}" about an image of a skin lesion with Yes or No. Its score is the probability of Yes
among the raw probabilities of the first token; uncalibrated, it is not a probability of a disease.

**Base.** {base}, revision {revision}. {method}

**Data.** {n_train} training images (`split = train` of {sources}; Yes for {positive}), {n_held} of
{calibration} held out by lesion, melanoma answers {prevalence:.1%}. The official test images were not read.
HAM10000: Tschandl, Rosendahl, Kittler 2018, CC BY-NC 4.0. ISIC 2017: Codella et al. 2017.

**Terms.** Non-commercial where HAM10000 was learned from. The base's licence applies to derived models. Llama
3.2's does not grant rights to its *multimodal* models to people living, and companies based, in the
European Union; end users of products that contain them are exempt.

## Figures

AUC of P(yes) on the held-out fold: **{auc:.3f}** ({low:.3f} to {high:.3f}; 95 % by bootstrap over lesions, 1,000
draws), n = {n_held}. **This is not a test figure**: the epoch was chosen on this very fold, so it is optimistic.

| epoch | loss | AUC on the held-out fold | learning rate |
|---|---|---|---|
{lines}

Epoch 0 is the base before any training. Selected: epoch {best}.
"""


def save_best(out: Path, accelerator: Any, model: Any, record: dict[str, Any]) -> None:
    """Write the current weights as OUT/adapter, or without LoRA as OUT/best, which `melalog export fsdp` takes."""
    if hasattr(model, "peft_config"):
        whole = {
            name: (p.full_tensor() if isinstance(p, DTensor) else p).cpu()
            for name, p in adapter_checkpoint.trained(model).items()
        }

        def write(folder: Path) -> None:
            # `save_embedding_layers` would otherwise look the base up on the hub.
            model.save_pretrained(folder, state_dict=whole, save_embedding_layers=False)
            (folder / "README.md").unlink(missing_ok=True)  # peft's empty card; ours is in OUT
            (folder / adapter.RECORD).write_text(json.dumps(record, indent=1) + "\n")

        if accelerator.is_main_process:
            _replace(out / "adapter", write)
    else:
        with adapter_checkpoint.quiet():
            alone = accelerator.num_processes == 1
            state_dict_saver.save(
                {"model": adapter_checkpoint.trained(model)}, checkpoint_id=out / "best", no_dist=alone
            )
    accelerator.wait_for_everyone()


def _replace(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a folder under a temporary name and rename it."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    write(fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def write_card(
    out: Path,
    config: FinetuneConfig,
    folds: FinetuneFolds,
    history: list[dict[str, float]],
    scores: NDArray[np.float64] | None,
) -> None:
    """MODEL_CARD.md. `scores` are those of the epoch just saved; None when an earlier epoch is still the best."""
    figures = out / "best.json"
    truth = is_yes(folds.held_out, config.labels).astype(np.float64)
    if scores is not None:
        groups = [row.group for row in folds.held_out]
        auc, interval = statistics.bootstrap(statistics.METRICS["auc"], truth, scores, groups)
        best = {"epoch": len(history) - 1, "auc": auc, "interval": interval, "n": len(truth)}
        figures.write_text(json.dumps(best, indent=1) + "\n")
    best_figures = json.loads(figures.read_text())
    lines = [
        f"| {epoch} | {entry['loss']:.4f} | {entry['auc']:.3f} | {entry['lr']:.1e} |"
        for epoch, entry in enumerate(history)
    ]
    text = CARD.format(
        kind="LoRA adapter" if config.lora else "Fine-tuned copy",
        base=config.base,
        revision=config.revision or "not pinned",
        question=config.question,
        method=_method(config),
        n_train=len(folds.train),
        n_held=len(folds.held_out),
        sources=", ".join(config.train_sources),
        calibration=config.calibration_source,
        positive=", ".join(config.labels.positive),
        prevalence=truth.mean(),
        auc=best_figures["auc"],
        low=best_figures["interval"][0],
        high=best_figures["interval"][1],
        lines="\n".join(lines),
        best=best_figures["epoch"],
    )
    (out / "MODEL_CARD.md").write_text(text)


def _method(config: FinetuneConfig) -> str:
    if config.lora is None:
        return "Every weight was trained."
    side = "language side and vision tower" if config.lora.vision else "language side only"
    size = "" if config.quantization == "none" else f", on a base in {config.quantization}"
    return (
        f"LoRA r {config.lora.r}, alpha {config.lora.alpha}, dropout {config.lora.dropout:g} on "
        f"{', '.join(config.lora.targets)} ({side}){size}."
    )
