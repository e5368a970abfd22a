"""The production engine's own release, as far as it goes without a GPU: its flags, and the encoder that is mended."""

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from services.vlm.core import reencode
from services.vlm.engine.vllm import launch
from tests.engine.conftest import ENGINES, Served, python_of
from tests.pictures import encode, lesion

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
PROBE = Path(__file__).with_name("mask_probe.py")
PARSE = """
import json, sys
from vllm.platforms import current_platform
current_platform.device_type = "cuda"
from vllm.entrypoints.openai.cli_args import make_arg_parser
from vllm.utils import FlexibleArgumentParser
import vllm.entrypoints.openai.api_server
told = make_arg_parser(FlexibleArgumentParser()).parse_args(sys.argv[1:])
print(json.dumps([told.served_model_name, told.limit_mm_per_prompt, told.enable_log_requests, told.api_key]))
"""


def run(*line: str) -> str:
    ended = subprocess.run(
        [str(python_of("pinned")), *line],
        env={"VLLM_USE_V1": "0", "VLLM_NO_USAGE_STATS": "1", "HOME": str(ENGINES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout.splitlines()[-1]


def test_it_takes_every_flag(served: Served) -> None:
    told = json.loads(run("-c", PARSE, "--model", str(served.folder), *launch.options(llama=True)))
    assert told == [["melalog"], {"image": 1}, False, None]


def test_its_encoder_is_mended_to_what_the_model_learned_with(served: Served, tmp_path: Path) -> None:
    from export import vlm  # noqa: PLC0415  (slow to import, and only this test needs it)

    model, processor = vlm.load(served.folder)
    picture = Image.open(io.BytesIO(reencode(encode(lesion()), served.view))).convert("RGB")
    seen = processor.image_processor([[picture]], return_tensors="pt")
    given = {name: seen[name] for name in ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")}
    with torch.no_grad():
        features = model.model.vision_model(**given).last_hidden_state
    arrays = {name: tensor.numpy() for name, tensor in given.items()}
    np.savez(tmp_path / "expected.npz", features=features.numpy(), **arrays)
    told = json.loads(run(str(PROBE), str(served.folder), str(tmp_path / "expected.npz")))
    print(f"vLLM 0.10.2's picture features against transformers: {told}")  # noqa: T201  (the figure is the point)
    assert told["mended"] < 1e-4
    assert told["plain"] > 100 * told["mended"], "it has its mask again: masked_server.py can go"
