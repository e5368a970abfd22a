"""A LoRA adapter and its base as one checkpoint: vLLM never served adapters on Llama 3.2 Vision, so they are merged."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoProcessor

from export import vlm_card, vlm_graph, vlm_release
from export.vlm_layout import check_layout, write_layout
from models.vlm.data import conversation
from models.vlm.data.answers import make_folds
from models.vlm.evaluation.predict import answer_logprobs, log_odds
from models.vlm.network import pretrained
from models.vlm.network.adapter import check_adapter
from models.vlm.serving.artifact import MODEL_FILE, Artifact
from models.vlm.serving.preprocess import LLAMA, View, null_picture, prepare
from models.vlm.training.finetune.finetune_config import QUESTION, FinetuneConfig
from models.vlm.training.finetune.lora import attach

PARITY = 0.02
"""Largest change of P(yes) that merging and the checkpoint's number format may cause."""
LICENCE = (
    "The weights are for non-commercial use (CC BY-NC 4.0), as the pictures they learned from are, and under the "
    "licence of their base. The code is Apache-2.0."
)


class MergeError(RuntimeError):
    """The merged checkpoint does not answer as base and adapter do."""


@dataclass(frozen=True)
class Plan:
    """What to release; `embedded`: as a graph for the vlm service itself instead of a checkpoint for an engine."""

    base: Path
    adapter: Path
    name: str
    version: str
    purpose: str
    made: str = ""
    dtype: str = "bfloat16"
    embedded: bool = False


@dataclass(frozen=True)
class Written:
    """How far merging moved P(yes), and the release; None when there was nothing to calibrate it on."""

    merged_by: float
    artifact: Artifact | None


def load(folder: Path, adapter: Path | None = None) -> tuple[Any, Any]:
    """(model, processor) of a local checkpoint in fp32, with its adapter still beside the weights.

    Raises AdapterError for an adapter of another base.
    """
    model = pretrained.load(folder, dtype=torch.float32)
    if adapter is not None:
        check_adapter(adapter, folder, language_only=False)  # merged, the vision tower's part is not lost
        model = attach(model, adapter)
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)


def merge(base: Path, adapter: Path, out: Path, dtype: str = "bfloat16") -> float:
    """Write base and adapter as one checkpoint in the layout that the engine reads; returns the change of P(yes).

    Raises MergeError when P(yes) moves by more than PARITY, LayoutError, and what `load` raises.
    """
    question, view = asked(base, adapter)
    pictures = probes(view)
    model, processor = load(base, adapter)
    before = p_yes(model, processor, pictures, question)
    shutil.rmtree(out, ignore_errors=True)
    write_layout(model.merge_and_unload(), processor, out, dtype)
    del model
    check_layout(out)
    merged, processor = load(out)
    difference = float(np.abs(p_yes(merged, processor, pictures, question) - before).max())
    if not difference <= PARITY:
        raise MergeError(f"merging moved P(yes) by {difference:.3f}; at most {PARITY} is allowed")
    return difference


def asked(base: Path, adapter: Path) -> tuple[str, View]:
    """Question and view the adapter was trained with; Melalog's own where it does not say."""
    record = check_adapter(adapter, base, language_only=False)
    return record.get("question", QUESTION), View.model_validate(record["view"]) if "view" in record else LLAMA


def release(plan: Plan, out: Path, data: Path | None) -> Written:
    """Merge, calibrate, measure and describe; `out` is replaced only when all is done."""
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    merged = unfinished / "merged"
    merged.mkdir(parents=True)
    moved = merge(plan.base, plan.adapter, merged, plan.dtype)
    question, view = asked(plan.base, plan.adapter)
    model, processor = load(merged)
    prompt = conversation.encode(processor, question).prompt
    told = _told(plan, question, view)
    ask: vlm_release.Ask = lambda pictures: answer_logprobs(model, processor, pictures, question)  # noqa: E731
    if plan.embedded:
        vlm_graph.write(model, processor, list(prompt), unfinished / MODEL_FILE)
        ask = vlm_graph.Asked(unfinished / MODEL_FILE, processor, prompt)
        for name, folder in (("base", plan.base), ("adapter", plan.adapter)):
            shutil.copytree(folder, unfinished / name)
        shutil.rmtree(merged)  # base and adapter make it again
        told["prompt_ids"] = prompt
    artifact = None
    if data is not None:
        fitted = vlm_release.fit(ask, make_folds(FinetuneConfig(), data).held, view, "ham10000 train, fold 0 of 8")
        figures = vlm_release.measure(ask, fitted.calibration, view, data)
        vlm_release.write_manifest(unfinished, told, fitted, figures)
        vlm_card.write(unfinished)
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)
    if data is not None:
        artifact = Artifact.load(out)
    return Written(moved, artifact)


def _told(plan: Plan, question: str, view: View) -> dict[str, Any]:
    settings = check_adapter(plan.adapter, plan.base, language_only=False)
    named = settings.get("base", plan.base.name)
    return {
        "name": plan.name,
        "version": plan.version,
        "purpose": plan.purpose,
        "made": plan.made or f"Base {Path(named).name}, then a LoRA adapter, merged in {plan.dtype}.",
        "question": question,
        "input": view.model_dump(),
        "licence": LICENCE,
    }


def probes(view: View, n: int = 12) -> list[Image.Image]:
    """Pictures to compare models on: nothing, and blots of many colours on skin."""
    rng = np.random.default_rng(0)
    found = [prepare(null_picture(view), view)]
    y, x = np.mgrid[-1:1:224j, -1:1:224j]
    while len(found) < n:
        skin, blot = rng.uniform(120, 240, 3), rng.uniform(20, 160, 3)
        where = np.hypot(x / rng.uniform(0.2, 0.8), y / rng.uniform(0.2, 0.8)) + rng.normal(0, 0.1, x.shape)
        pixels = np.where(where[..., None] < 1, blot, skin).astype(np.uint8)
        found.append(prepare(Image.fromarray(pixels), view))
    return found


def p_yes(model: Any, processor: Any, pictures: Sequence[Image.Image], question: str) -> NDArray[np.float64]:
    """P(yes) of each picture, [N]."""
    odds = log_odds(answer_logprobs(model, processor, pictures, question))
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return chance
