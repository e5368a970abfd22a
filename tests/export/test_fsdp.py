"""Shards of two real processes become one servable folder, and nothing else does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file
from transformers import MllamaProcessor
from typer.testing import CliRunner

from cli import export_fsdp
from export.fsdp import consolidate
from export.vlm_layout import check_layout
from models.vlm.data import conversation, tensors
from models.vlm.network import pretrained
from models.vlm.training.finetune.adapter_checkpoint import quiet
from models.vlm.vlm_errors import VlmCheckpointError
from tests.models.classifier import tiny as classifier_tiny
from tests.models.vlm import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def runs(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What fsdp_worker.py leaves behind."""
    out = tmp_path_factory.mktemp("runs")
    data = classifier_tiny.write_data(tmp_path_factory.mktemp("data"))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, Path(__file__).parent / "fsdp_worker.py", base, data, out],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def logits(folder: Path) -> torch.Tensor:
    """Of three images, by the folder's own processor."""
    model = pretrained.load(folder)
    processor = MllamaProcessor.from_pretrained(folder)
    prompt = conversation.encode(processor, "Is it?").prompt
    shown = torch.arange(3 * tiny.SIDE**2 * 3).reshape(3, tiny.SIDE, tiny.SIDE, 3).remainder(251).byte().numpy()
    batch = tensors.collate(processor, shown, [prompt] * 3, [()] * 3)
    del batch["labels"]
    with torch.inference_mode():
        return model.eval()(**batch).logits


def test_a_sharded_checkpoint_becomes_the_model_that_was_trained(runs: Path, base: Path, tmp_path: Path) -> None:
    folder = consolidate(runs / "full" / "best", str(base), tmp_path / "servable")
    check_layout(folder)
    # Put together by hand, weight by weight, from the same shards.
    model: Any = tiny.model(seed=9)
    state = {"model": model.state_dict()}
    with quiet():
        dcp.load(state, checkpoint_id=runs / "full" / "best", no_dist=True)
    model.save_pretrained(tmp_path / "by hand")
    tiny.processor().save_pretrained(tmp_path / "by hand")
    assert torch.equal(logits(folder), logits(tmp_path / "by hand"))
    assert not torch.allclose(logits(folder), logits(base), atol=1e-3)


def test_a_run_killed_in_shards_goes_on_to_the_same_weights(runs: Path, base: Path, tmp_path: Path) -> None:
    whole = consolidate(runs / "full" / "best", str(base), tmp_path / "whole")
    resumed = consolidate(runs / "killed" / "last", str(base), tmp_path / "resumed")
    assert torch.equal(logits(whole), logits(resumed))


def test_an_adapter_is_the_same_from_shards_and_from_copies(runs: Path) -> None:
    sharded, copies = (
        load_file(runs / name / "adapter" / "adapter_model.safetensors") for name in ("sharded", "copies")
    )
    assert sharded.keys() == copies.keys()
    for name, tensor in sharded.items():
        torch.testing.assert_close(tensor, copies[name], rtol=1e-3, atol=1e-5)


def save(folder: Path, state: dict[str, Any]) -> Path:
    with quiet():
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    return folder


def test_names_of_transformers_4_and_of_wrappers_are_understood(base: Path, tmp_path: Path) -> None:
    old = {
        name.replace("model.language_model.", "language_model.model.")
        .replace("lm_head.", "language_model.lm_head.")
        .replace("model.vision_model.", "vision_model._fsdp_wrapped_module.")
        .replace("model.multi_modal_projector.", "multi_modal_projector."): tensor
        for name, tensor in tiny.model().state_dict().items()
    }
    folder = consolidate(save(tmp_path / "old", {"model": old}), str(base), tmp_path / "servable")
    assert torch.equal(logits(folder), logits(base))


def test_the_base_s_precision_is_kept(tmp_path: Path) -> None:
    half: Any = tiny.model().to(torch.bfloat16)
    half.save_pretrained(tmp_path / "base")
    tiny.processor().save_pretrained(tmp_path / "base")
    checkpoint = save(tmp_path / "fp32", {"model": half.float().state_dict()})
    folder = consolidate(checkpoint, str(tmp_path / "base"), tmp_path / "servable")
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}


def changed(**changes: Any) -> dict[str, Any]:
    """The tiny model's weights with some replaced, or left out where None."""
    state = {**tiny.model().state_dict(), **{name.replace("__", "."): tensor for name, tensor in changes.items()}}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed(lm_head__weight=None), r"1 missing \(lm_head.weight\)"),
        (changed(lm_head__weight=torch.zeros(3, 3)), r"1 of another shape \(lm_head.weight\)"),
        (changed(lm_head__bias=torch.zeros(3)), r"1 not in the base \(model.lm_head.bias\)"),
        (changed(lm_head__lora_A=torch.zeros(3)), "adapter needs no conversion"),
    ],
    ids=["missing", "shape", "unknown", "adapter"],
)
def test_what_does_not_fit_is_named(state: dict[str, Any], message: str, base: Path, tmp_path: Path) -> None:
    checkpoint = save(tmp_path / "checkpoint", {"model": state})
    with pytest.raises(VlmCheckpointError, match=message):
        consolidate(checkpoint, str(base), tmp_path / "servable")
    assert not (tmp_path / "servable").exists()


def test_the_command_says_what_is_wrong_and_where_the_folder_is(base: Path, tmp_path: Path) -> None:
    import typer  # noqa: PLC0415

    app = typer.Typer()
    app.command()(export_fsdp.fsdp)
    refused = CliRunner().invoke(app, [str(tmp_path), str(tmp_path / "out"), "--base", str(base)])
    assert refused.exit_code == 2
    assert ".metadata" in refused.output
    there = CliRunner().invoke(app, [str(tmp_path), str(base), "--base", str(base)])
    assert "exists already" in there.output
    checkpoint = save(tmp_path / "checkpoint", {"model": tiny.model().state_dict()})
    done = CliRunner().invoke(app, [str(checkpoint), str(tmp_path / "out"), "--base", str(base)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "config.json").is_file()
