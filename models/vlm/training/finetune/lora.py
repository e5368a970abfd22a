"""Adapted modules by exact names, because suffixes such as q_proj also match the vision tower."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.vlm.training.finetune.finetune_config import Lora

LANGUAGE = r"(.*\.)?language_model\.layers\.\d+\.(self_attn|cross_attn|mlp)\."
VISION = (
    r"(.*\.)?vision_model\.(global_)?transformer\.layers\.\d+\.(self_attn\.(q_proj|k_proj|v_proj|o_proj)|mlp\.fc[12])"
)


def pattern(lora: Lora) -> str:
    """The regular expression that the whole name of an adapted module matches."""
    language = f"{LANGUAGE}({'|'.join(lora.targets)})"
    return f"({language}|{VISION})" if lora.vision else language


def adapt(model: Any, lora: Lora, base: str, revision: str | None) -> Any:
    """The model with a fresh adapter, everything else frozen."""
    import peft  # noqa: PLC0415  (slow to import)

    if getattr(model, "is_loaded_in_4bit", False):
        prepare: Any = peft.prepare_model_for_kbit_training  # without annotations
        model = prepare(model, use_gradient_checkpointing=False)
    settings = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=pattern(lora),
        task_type="CAUSAL_LM",
    )
    with _quiet():
        adapted = peft.get_peft_model(model, settings)
    peft_config = adapted.peft_config["default"]
    peft_config.base_model_name_or_path, peft_config.revision = base, revision
    return adapted


def attach(model: Any, adapter: Path) -> Any:
    """The base with a trained adapter on it, in evaluation mode. Call `adapter.check_adapter` first."""
    from peft import PeftModel  # noqa: PLC0415

    with _quiet():
        return PeftModel.from_pretrained(model, adapter).eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress peft's use of a name that transformers 6 removes; both are pinned below that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield
