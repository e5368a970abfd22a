"""First weights: what fits is taken, what belongs to another network is named, and no file runs code."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.classifier.network import initial_weights
from models.classifier.network.networks import build
from models.classifier.training.config import TrainConfig
from tests.models.classifier import tiny

BACKBONE = "test_resnet"


def pictures() -> Tensor:
    return torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def start(path: Path | str, backbone: str = BACKBONE, **changes: Any) -> nn.Module:
    config = tiny.plan(backbone=backbone, initial=str(path), **changes)
    network = build(backbone, pad_type=config.pad_type, normalisation=config.normalisation)
    initial_weights.initialise(network, config, pictures)
    return network


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_safetensors_file_is_read_back(tmp_path: Path) -> None:
    network = build(BACKBONE)
    initial_weights.write(network, tmp_path / "a.safetensors", {"backbone": BACKBONE})
    assert same(start(tmp_path / "a.safetensors"), network)
    assert initial_weights.read(tmp_path / "a.safetensors")[1] == {"backbone": BACKBONE}
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_a_pth_file_is_read_also_as_other_programs_write_it(wrapper: str | None, tmp_path: Path) -> None:
    network = build(BACKBONE)
    state: Any = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "a.pth")
    assert same(start(tmp_path / "a.pth"), network)


def test_a_classifier_layer_of_other_classes_is_left_out(tmp_path: Path) -> None:
    network: Any = build(BACKBONE)
    network.reset_classifier(1000)
    torch.save(network.state_dict(), tmp_path / "imagenet.pth")
    found: Any = start(tmp_path / "imagenet.pth")
    assert found.get_classifier().out_features == 7
    assert torch.equal(found.conv1[0].weight, network.conv1[0].weight)


def test_the_head_can_start_at_zero(tmp_path: Path) -> None:
    initial_weights.write(build(BACKBONE), tmp_path / "a.safetensors", {})
    head = start(tmp_path / "a.safetensors", zero_head=True).get_classifier()  # type: ignore[operator]
    assert not any(parameter.any() for parameter in head.parameters())


def test_a_checkpoint_of_another_network_is_named(tmp_path: Path) -> None:
    initial_weights.write(build("test_efficientnet"), tmp_path / "other.safetensors", {"backbone": "test_efficientnet"})
    with pytest.raises(ValueError, match=r"other\.safetensors does not fit .*test_resnet .*made for test_efficientnet"):
        start(tmp_path / "other.safetensors")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch ran",))


def test_a_file_that_could_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "evil2.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    for name in ("evil.pth", "evil2.pth"):
        with pytest.raises(ValueError, match=rf"{name} (holds more than weights|is no file of weights)"):
            start(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.npz"])
def test_a_file_that_is_no_file_of_weights_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"hello")
    folded = {"normalisation": "half", "pad_type": "same"} if name.endswith("npz") else {}
    with pytest.raises(ValueError, match=name):
        start(tmp_path / name, "test_efficientnet", **folded)


def test_a_missing_file_and_a_missing_variable_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
        start(tmp_path / "nothing.pth")
    monkeypatch.delenv("MELALOG_DATA_DIR", raising=False)
    with pytest.raises(ValueError, match="MELALOG_DATA_DIR"):
        start("$MELALOG_DATA_DIR/a.pth")


def test_imagenet_weights_that_cannot_be_had_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", "/nonexistent")
    with pytest.raises(ValueError, match=r"weights of resnet18 cannot be had .* set initial to a local"):
        start("imagenet", "resnet18")


def fold(network: nn.Module) -> initial_weights.Convolutions:
    """What a converter to ONNX or TFLite makes of batch norm."""
    folded = {}
    for name, conv, norm in initial_weights._pairs(network):  # noqa: SLF001
        assert isinstance(norm, _BatchNorm)
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        folded[name] = (
            (conv.weight * scale.view(-1, 1, 1, 1)).detach(),
            (norm.bias - norm.running_mean * scale).detach(),
        )
    return folded


def trained(backbone: str, **options: Any) -> nn.Module:
    """With batch norm that is not the one it was born with."""
    network = build(backbone, **options)
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.running_mean)
    return network.eval()


def test_unfolded_batch_norm_computes_the_same_and_can_be_trained_on(tmp_path: Path) -> None:
    half: dict[str, Any] = {"normalisation": "half", "pad_type": "same"}
    source = trained("mobilenetv2_035", **half)
    folded = fold(source)
    arrays = {}
    for i, (weight, bias) in enumerate(folded.values()):
        arrays |= {f"conv{i:02d}_weight": weight.numpy(), f"conv{i:02d}_bias": bias.numpy()}
    about = json.dumps([{"i": i} for i in range(len(folded) + 1)]).encode()
    np.savez(tmp_path / "folded.npz", meta_json=np.frombuffer(about, np.uint8), **arrays)
    found: Any = start(tmp_path / "folded.npz", "mobilenetv2_035", **half).eval()
    with torch.inference_mode():
        expected = source.forward_features(pictures())  # type: ignore[operator]
        assert torch.allclose(found.forward_features(pictures()), expected, atol=1e-3)
        # In training mode the norm sees these pictures' own figures, which are what it was given.
        assert torch.allclose(found.train().forward_features(pictures()), expected, atol=1e-2)


def test_folded_weights_of_another_network_are_named(tmp_path: Path) -> None:
    about = json.dumps([{"i": 0}, {"i": 1}]).encode()
    array = np.zeros((4, 3, 3, 3), np.float32)
    np.savez(
        tmp_path / "a.npz", meta_json=np.frombuffer(about, np.uint8), conv00_weight=array, conv00_bias=array[:, 0, 0, 0]
    )
    with pytest.raises(ValueError, match=r"a\.npz holds 1 convolutions, and this network has \d+"):
        start(tmp_path / "a.npz", "test_efficientnet", normalisation="half", pad_type="same")


def test_a_folded_file_wants_its_own_scale_and_padding() -> None:
    with pytest.raises(ValueError, match="normalisation: half and pad_type: same"):
        tiny.plan(initial="a.npz")


def test_a_released_folder_is_a_start() -> None:
    """The shipped classifier's second network: its part of the embedding is computed again by the unfolded one."""
    from models.classifier.evaluation.measurement import run  # noqa: PLC0415
    from models.classifier.network.networks import normalise  # noqa: PLC0415
    from models.classifier.serving.artifact import MODEL_FILE, RELEASED  # noqa: PLC0415

    manifest = json.loads((RELEASED / "manifest.json").read_text())
    backbone, size = manifest["networks"][1], manifest["input"]["size"]
    config = TrainConfig(backbone=backbone, initial=str(RELEASED), stages=[{"epochs": 1, "size": 32}])  # type: ignore[list-item]
    network: Any = build(backbone).eval()
    shown = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scaled = normalise(shown.permute(0, 3, 1, 2).float().div(255))
    initial_weights.initialise(network, config, lambda: scaled)
    with torch.inference_mode():
        embedding = network.forward_head(network.forward_features(scaled), pre_logits=True).numpy()
    served = run(RELEASED / MODEL_FILE, shown.numpy())["embedding"]
    assert served[:, -embedding.shape[1] :] == pytest.approx(embedding, abs=1e-3)


def test_a_folder_that_is_no_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no released classifier"):
        start(tmp_path)
