"""Load Llama 3.2 Vision checkpoints of either layout with the vision features they were trained with."""

import json
from pathlib import Path
from typing import Any

from transformers import MllamaConfig, MllamaForConditionalGeneration


def read_config(folder: Path) -> MllamaConfig:
    """The configuration in the meaning of the installed transformers.

    Meta's code, transformers 4 and vLLM count `intermediate_layers_indices` from the embedding, so that i is the
    input of layer i; transformers 5 takes the output of layer i. A checkpoint in the old layout (the published ones,
    and all that we export) therefore needs one less here; unpatched, the model silently gets other features.
    """
    config: Any = MllamaConfig.from_pretrained(folder, local_files_only=True)
    if old_layout(folder):
        vision = config.vision_config
        vision.intermediate_layers_indices = [index - 1 for index in vision.intermediate_layers_indices]
    return config  # type: ignore[no-any-return]


def load(folder: Path, **options: Any) -> Any:
    """The model with its weights. `options`: of from_pretrained (dtype, quantization_config, device_map)."""
    return MllamaForConditionalGeneration.from_pretrained(
        folder, config=read_config(folder), local_files_only=True, **options
    )


def old_layout(folder: Path) -> bool:
    """Whether config.json was written as transformers 4 does: with `rope_theta` at the top level."""
    config = json.loads((folder / "config.json").read_text())
    return "rope_parameters" not in config.get("text_config", {})
