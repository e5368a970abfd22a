"""vLLM 0.10.2's own picture encoder on this CPU, as it is and mended: mask_probe.py CHECKPOINT EXPECTED.

Runs in the engine's environment (no GPU needed: only the encoder is made). EXPECTED is a .npz with what transformers
takes and gives: pixel_values, aspect_ratio_ids, aspect_ratio_mask, features. Prints the largest differences.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

os.environ |= {"VLLM_USE_V1": "0", "VLLM_NO_USAGE_STATS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29555"}

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from vllm import distributed
from vllm.attention import layer
from vllm.config import DeviceConfig, VllmConfig, set_current_vllm_config
from vllm.model_executor.models import mllama
from vllm.platforms.interface import _Backend

MENDED = Path(__file__).parents[2] / "services/vlm/engine/vllm/masked_server.py"


def encoder(folder: Path) -> nn.Module:
    """The encoder with the checkpoint's weights."""
    told = json.loads((folder / "config.json").read_text())["vision_config"]
    config = SimpleNamespace(**told, max_aspect_ratio_id=len(told["supported_aspect_ratios"]))
    backend = mock.Mock(get_name=lambda: "TORCH_SDPA")
    with mock.patch.object(layer, "get_attn_backend", return_value=backend):
        made: Any = mllama.MllamaVisionModel(config, None, prefix="vision_model")
    assert made.transformer.layers[0].self_attn.attn.attn_backend == _Backend.TORCH_SDPA
    prefix = "vision_model."
    weights = load_file(folder / "model.safetensors")
    made.load_weights(
        (n.removeprefix(prefix).replace("patch_embedding.weight", "patch_embedding._linear.weight"), w)
        for n, w in weights.items()
        if n.startswith(prefix)
    )
    return made.eval()


def difference(made: nn.Module, given: dict[str, torch.Tensor]) -> float:
    """Largest difference from what transformers computes."""
    with torch.no_grad():
        found = made(given["pixel_values"], given["aspect_ratio_ids"], given["aspect_ratio_mask"])
    return float((found - given["features"]).abs().max())


def main(folder: Path, expected: Path) -> None:
    """Print both."""
    given = {name: torch.from_numpy(value) for name, value in np.load(expected).items()}
    with set_current_vllm_config(VllmConfig(device_config=DeviceConfig("cpu"))):
        distributed.init_distributed_environment(1, 0, "env://", 0, "gloo")
        distributed.initialize_model_parallel(1, 1, backend="gloo")
        made = encoder(folder)
    plain = difference(made, given)
    spec = importlib.util.spec_from_file_location("mended", MENDED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.mend()
    print(json.dumps({"plain": plain, "mended": difference(made, given), "scale": float(given["features"].std())}))  # noqa: T201


main(Path(sys.argv[1]), Path(sys.argv[2]))
