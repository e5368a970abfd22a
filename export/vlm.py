"""Merge a LoRA adapter into its base: vLLM serves no adapters on Llama 3.2 Vision."""

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
from models.vlm.serving.artifact import MODEL_FILE, VlmArtifact
from models.vlm.serving.preprocess import LLAMA, View, null_image, prepare
from models.vlm.training.finetune.finetune_config import QUESTION, FinetuneConfig
from models.vlm.training.finetune.lora import attach

PARITY = 0.02
"""Largest change of P(yes) that merging and the checkpoint's number format may cause."""
LICENCE = (
    "The weights are for non-commercial use (CC BY-NC 4.0), as the images they learned from are, and under the "
    "licence of their base. The code is Apache-2.0."
)


class MergeError(RuntimeError):
    """The answers of the merged checkpoint differ from those of base and adapter."""


@dataclass(frozen=True)
class MergePlan:
    """What to release; `embedded`: as a graph for the vlm service instead of a checkpoint for an engine."""

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
    """The change of P(yes) by merging, and the release; None without data to calibrate on."""

    merged_by: float
    artifact: VlmArtifact | None


def load(folder: Path, adapter: Path | None = None) -> tuple[Any, Any]:
    """(model, processor) of a local checkpoint in fp32, with its adapter unmerged.

    Raises AdapterError for an adapter of another base.
    """
    model = pretrained.load(folder, dtype=torch.float32)
    if adapter is not None:
        check_adapter(adapter, folder, language_only=False)  # merging includes the vision tower's part
        model = attach(model, adapter)
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)


def merge(base: Path, adapter: Path, out: Path, dtype: str = "bfloat16") -> float:
    """Write base and adapter as one checkpoint in the layout that the engine reads; returns the change of P(yes).

    Raises MergeError when P(yes) moves by more than PARITY, CheckpointLayoutError, and the errors of `load`.
    """
    question, view = question_and_view(base, adapter)
    images = probe_images(view)
    model, processor = load(base, adapter)
    before = p_yes(model, processor, images, question)
    shutil.rmtree(out, ignore_errors=True)
    write_layout(model.merge_and_unload(), processor, out, dtype)
    del model
    check_layout(out)
    merged, processor = load(out)
    difference = float(np.abs(p_yes(merged, processor, images, question) - before).max())
    if not difference <= PARITY:
        raise MergeError(f"merging moved P(yes) by {difference:.3f}; at most {PARITY} is allowed")
    return difference


def question_and_view(base: Path, adapter: Path) -> tuple[str, View]:
    """Question and view the adapter was trained with; the defaults if it has no record."""
    record = check_adapter(adapter, base, language_only=False)
    return record.get("question", QUESTION), View.model_validate(record["view"]) if "view" in record else LLAMA


def release(plan: MergePlan, out: Path, data: Path | None) -> Written:
    """Merge, calibrate, measure and describe; `out` is replaced only when everything succeeded."""
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    merged = unfinished / "merged"
    merged.mkdir(parents=True)
    moved = merge(plan.base, plan.adapter, merged, plan.dtype)
    question, view = question_and_view(plan.base, plan.adapter)
    model, processor = load(merged)
    prompt = conversation.encode(processor, question).prompt
    fields = _manifest_fields(plan, question, view)
    predict: vlm_release.Predictor = lambda images: answer_logprobs(model, processor, images, question)  # noqa: E731
    if plan.embedded:
        vlm_graph.write(model, processor, list(prompt), unfinished / MODEL_FILE)
        predict = vlm_graph.GraphPredictor(unfinished / MODEL_FILE, processor, prompt)
        for name, folder in (("base", plan.base), ("adapter", plan.adapter)):
            shutil.copytree(folder, unfinished / name)
        shutil.rmtree(merged)  # reproducible from base and adapter
        fields["prompt_ids"] = prompt
    artifact = None
    if data is not None:
        fitted = vlm_release.fit(
            predict, make_folds(FinetuneConfig(), data).held_out, view, "ham10000 train, fold 0 of 8"
        )
        figures = vlm_release.measure(predict, fitted.calibration, view, data)
        vlm_release.write_manifest(unfinished, fields, fitted, figures)
        vlm_card.write(unfinished)
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)
    if data is not None:
        artifact = VlmArtifact.load(out)
    return Written(moved, artifact)


def _manifest_fields(plan: MergePlan, question: str, view: View) -> dict[str, Any]:
    settings = check_adapter(plan.adapter, plan.base, language_only=False)
    base_name = settings.get("base", plan.base.name)
    return {
        "name": plan.name,
        "version": plan.version,
        "purpose": plan.purpose,
        "made": plan.made or f"Base {Path(base_name).name}, then a LoRA adapter, merged in {plan.dtype}.",
        "question": question,
        "input": view.model_dump(),
        "licence": LICENCE,
    }


def probe_images(view: View, n: int = 12) -> list[Image.Image]:
    """Images to compare models on: the null image, and synthetic lesions of many colours on skin."""
    rng = np.random.default_rng(0)
    images = [prepare(null_image(view), view)]
    y, x = np.mgrid[-1:1:224j, -1:1:224j]
    while len(images) < n:
        skin, blot = rng.uniform(120, 240, 3), rng.uniform(20, 160, 3)
        where = np.hypot(x / rng.uniform(0.2, 0.8), y / rng.uniform(0.2, 0.8)) + rng.normal(0, 0.1, x.shape)
        pixels = np.where(where[..., None] < 1, blot, skin).astype(np.uint8)
        images.append(prepare(Image.fromarray(pixels), view))
    return images


def p_yes(model: Any, processor: Any, images: Sequence[Image.Image], question: str) -> NDArray[np.float64]:
    """P(yes) of each image, [N]."""
    odds = log_odds(answer_logprobs(model, processor, images, question))
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return chance
