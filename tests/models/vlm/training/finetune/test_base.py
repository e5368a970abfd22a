"""Problems of base, machine or account raise an error that says what to do, before anything is loaded."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import psutil
import pytest
import torch
from huggingface_hub import errors

from models.vlm.training.finetune import base as bases
from models.vlm.training.finetune.finetune_config import LLAMA_11B, FinetuneConfig
from models.vlm.vlm_errors import (
    BaseMissingError,
    GatedModelError,
    MemoryTooSmallError,
    MissingPackageError,
    NoGpuError,
    TokenizerError,
)
from tests.models.vlm import tiny


def refused(kind: type[Exception], status: int) -> Exception:
    """What the hub's client raises for an answer with this status."""
    request = httpx.Request("GET", "http://hub.invalid")
    return kind("refused", response=httpx.Response(status, request=request))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        (refused(errors.GatedRepoError, 403), GatedModelError, "request access on its model page.*hf auth login"),
        (refused(errors.RepositoryNotFoundError, 404), BaseMissingError, "the hub has no"),
        (refused(errors.RevisionNotFoundError, 404), BaseMissingError, "revision main"),
        (errors.LocalEntryNotFoundError("offline"), BaseMissingError, "cannot be reached: connect, or copy"),
        (refused(errors.HfHubHTTPError, 401), GatedModelError, "401.*HF_TOKEN"),
        (refused(errors.HfHubHTTPError, 403), GatedModelError, "403.*HF_TOKEN"),
        (refused(errors.HfHubHTTPError, 503), BaseMissingError, "answered 503"),
    ],
    ids=["gated", "unknown", "revision", "offline", "401", "403", "503"],
)
def test_what_the_hub_refuses_is_explained(
    raised: Exception, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise raised

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(error, match=message):
        bases.locate(LLAMA_11B)


def test_weights_are_not_fetched_when_only_the_configuration_is_asked_for(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: list[list[str]] = []

    def fetch(_: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert revision is None
        requested.append(allow_patterns)
        return str(base)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert bases.locate(LLAMA_11B, only_config=True) == base
    assert bases.locate(LLAMA_11B) == base
    assert ["*.safetensors" in patterns for patterns in requested] == [False, True]


@pytest.mark.parametrize("name", ["./nowhere", "runs/vlm/base", "nowhere"])
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaseMissingError, match=r"not a folder with a config\.json"):
        bases.locate(name)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    with pytest.raises(BaseMissingError, match=r"qwen2_5_vl.*for Llama 3.2 Vision"):
        bases.read_config(tmp_path)


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """A folder with the configuration of the 11B model (the class's defaults) and nothing else."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mllama", "text_config": {}, "vision_config": {}}))
    return tmp_path


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_the_11b_model_wants_a_gpu(llama: Path) -> None:
    with pytest.raises(NoGpuError, match="11 billion parameters and there is no CUDA GPU"):
        bases.check_machine(FinetuneConfig(), llama)


@pytest.mark.usefixtures("no_gpu")
def test_four_bits_want_a_gpu(base: Path) -> None:
    with pytest.raises(NoGpuError, match="set quantization: none"):
        bases.check_machine(tiny.plan(base, quantization="4bit"), base)


def gpu(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    """A machine with one GPU of this size."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, int(gib * bases.GIB)))


def test_four_bits_want_bitsandbytes(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, 24)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingPackageError, match=r"melalog\[quantized\]"):
        bases.check_machine(tiny.plan(base, quantization="4bit"), base)


@pytest.mark.parametrize(
    ("gib", "plan", "fits"),
    [
        (24, {}, False),
        (40, {}, True),
        (16, {"quantization": "4bit"}, True),
        (80, {"lora": None}, False),
    ],
    ids=["lora on 24", "lora on 40", "4bit on 16", "full on 80"],
)
def test_too_small_a_gpu_is_noticed_before_the_download(
    gib: float, plan: dict[str, Any], fits: bool, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, gib)
    monkeypatch.setitem(sys.modules, "bitsandbytes", SimpleNamespace())
    if fits:
        bases.check_machine(FinetuneConfig(**plan), llama)
    else:
        with pytest.raises(MemoryTooSmallError, match=r"GiB on each GPU.*use lora, quantization: 4bit, more GPUs"):
            bases.check_machine(FinetuneConfig(**plan), llama)


def test_eight_gpus_share_all_weights(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, 80)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("WORLD_SIZE", "8")
    bases.check_machine(FinetuneConfig(lora=None), llama)


@pytest.mark.usefixtures("no_gpu")
def test_too_little_memory_is_noticed_on_a_cpu(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(MemoryTooSmallError, match="on this machine"):
        bases.check_machine(tiny.plan(base), base)


def test_the_tokenizer_of_another_model_is_refused(base: Path) -> None:
    config = bases.read_config(base)
    assert bases.load_processor(base, config).tokenizer.padding_side == "right"
    config.image_token_index = 128256
    with pytest.raises(TokenizerError, match="belongs to this base"):
        bases.load_processor(base, config)
