"""A Llama 3.2 Vision of 28 pixels and two layers, as a folder, and plans that take seconds."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaImageProcessor, MllamaProcessor
from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig

from models.vlm.network import small
from models.vlm.training.finetune.finetune_config import QUESTION, FinetuneConfig

SIDE = 28
PLAN: dict[str, Any] = {
    "view": {"size": SIDE, "geometry": "squash"},
    "calibration_folds": 2,
    "lora": {"r": 4, "alpha": 16, "dropout": 0.1},
    "lr": 0.01,
    "epochs": 2,
    "batch_size": 8,
    "accumulation": 2,
    "turns": True,
    "precision": "fp32",
    "save_every": 2,
}


@cache
def processor() -> MllamaProcessor:
    """The real processor, for images of one small tile."""
    created = small.processor([QUESTION, "Yes", "No", "user", "assistant"])
    created.image_processor = MllamaImageProcessor(size={"height": SIDE, "width": SIDE}, max_image_tiles=1)
    return created


def config(width: int = 32) -> MllamaConfig:
    """Two text layers, the second of which looks at the image; three local and one global vision layer."""
    tokens = processor().tokenizer
    vision = MllamaVisionConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_global_layers=1,
        attention_heads=2,
        image_size=SIDE,
        patch_size=14,
        max_num_tiles=1,
        supported_aspect_ratios=[[1, 1]],
        intermediate_layers_indices=[0],
        vision_output_dim=2 * width,
    )
    text = MllamaTextConfig(
        vocab_size=tokens.convert_tokens_to_ids(small.IMAGE),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        cross_attention_layers=[1],
        max_position_embeddings=128,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )
    return MllamaConfig(
        vision_config=vision, text_config=text, image_token_index=tokens.convert_tokens_to_ids(small.IMAGE)
    )


def model(seed: int = 0, width: int = 32) -> Any:
    """Random weights with open gates, in evaluation mode."""
    torch.manual_seed(seed)
    created = MllamaForConditionalGeneration(config(width)).eval()
    for name, parameter in created.named_parameters():
        if name.endswith(("cross_attn_attn_gate", "cross_attn_mlp_gate")):
            parameter.data.fill_(1.0)
    return created


def write_base(folder: Path, seed: int = 0, width: int = 32) -> Path:
    """A base as `save_pretrained` writes it."""
    model(seed, width).save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


def plan(base: Path | str, **changes: Any) -> FinetuneConfig:
    """The plan, changed."""
    return FinetuneConfig.model_validate({**PLAN, "base": str(base), **changes})
