"""An adapter is used only on the base it was made for, and only by what can apply all of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.vlm.network import adapter
from models.vlm.network.adapter import check_adapter
from models.vlm.training.finetune import lora
from models.vlm.training.finetune.finetune_config import Lora
from models.vlm.vlm_errors import AdapterError, VisionAdapterError
from tests.models.vlm import tiny


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_base(tmp_path_factory.mktemp("base"))


def write_adapter(folder: Path, base: Path, **changes: Any) -> Path:
    """A fresh adapter with our record."""
    adapted = lora.adapt(tiny.model(), Lora(**changes), "some/base", None)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    record = {"base": "some/base", "fingerprint": adapter.fingerprint(base)}
    (folder / adapter.RECORD).write_text(json.dumps(record))
    return folder


def test_an_adapter_of_this_base_is_accepted(base: Path, tmp_path: Path) -> None:
    assert check_adapter(write_adapter(tmp_path, base), base)["base"] == "some/base"


def test_an_adapter_without_our_record_is_judged_by_its_shapes(base: Path, tmp_path: Path) -> None:
    (write_adapter(tmp_path, base) / adapter.RECORD).unlink()
    assert check_adapter(tmp_path, base) == {}


def test_another_base_of_the_same_shape_is_noticed(base: Path, tmp_path: Path) -> None:
    other = tiny.write_base(tmp_path / "other", seed=1)
    with pytest.raises(AdapterError, match="made for some/base, whose weights are not those in"):
        check_adapter(write_adapter(tmp_path / "adapter", base), other)


def test_one_retrained_weight_is_another_base(base: Path, tmp_path: Path) -> None:
    weights = load_file(base / "model.safetensors")
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    weights[name] = weights[name] + 1e-3
    save_file(weights, tmp_path / "model.safetensors")
    assert adapter.fingerprint(tmp_path) != adapter.fingerprint(base)


def test_a_base_of_another_shape_is_noticed(base: Path, tmp_path: Path) -> None:
    other = tiny.write_base(tmp_path / "other", width=16)
    with pytest.raises(AdapterError, match=r"made for some/base: its .* does not fit"):
        check_adapter(write_adapter(tmp_path / "adapter", base), other)


def test_an_adapter_on_the_vision_tower_is_not_for_every_engine(base: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path, base, vision=True)
    with pytest.raises(VisionAdapterError, match="merge it"):
        check_adapter(folder, base)
    assert check_adapter(folder, base, language_only=False)


@pytest.mark.parametrize("name", [adapter.SETTINGS, adapter.WEIGHTS])
def test_a_folder_that_is_no_adapter_says_so(name: str, base: Path, tmp_path: Path) -> None:
    (write_adapter(tmp_path, base) / name).unlink()
    with pytest.raises(AdapterError, match=f"has no {name}"):
        check_adapter(tmp_path, base)


def test_an_adapter_of_another_kind_is_refused(base: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path, base)
    weights = {name.replace("lora_A", "lora_magnitude"): t for name, t in load_file(tmp_path / adapter.WEIGHTS).items()}
    save_file(weights, tmp_path / adapter.WEIGHTS)
    with pytest.raises(AdapterError, match="only plain LoRA adapters"):
        check_adapter(tmp_path, base)


def test_a_base_without_weights_is_named(base: Path, tmp_path: Path) -> None:
    shutil.copy(base / "config.json", tmp_path)
    with pytest.raises(AdapterError, match="no safetensors"):
        adapter.fingerprint(tmp_path)


def test_attached_it_changes_nothing_before_training(base: Path, tmp_path: Path) -> None:
    attached = lora.attach(tiny.model(), write_adapter(tmp_path, base))
    assert not attached.training
    assert all(torch.all(p == 0) for name, p in attached.named_parameters() if "lora_B" in name)
