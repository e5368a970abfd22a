"""A teacher is asked about the very pictures its student sees, and the student comes to answer as it does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.classifier.network import initial_weights
from models.classifier.network.networks import build, normalise
from models.classifier.serving.artifact import RELEASED
from models.classifier.training import distillation
from models.classifier.training.batches import Batch
from models.classifier.training.devices import Place
from models.classifier.training.folds import make_folds
from models.classifier.training.loop import Trainer
from models.classifier.training.stepper import Stepper
from tests.models.classifier import tiny

CPU = torch.device("cpu")


def write_teacher(path: Path, normalisation: str = "half") -> nn.Module:
    """A network that has an opinion, and its file."""
    torch.manual_seed(5)
    network: Any = build("test_resnet", normalisation=normalisation).eval()
    nn.init.normal_(network.get_classifier().weight, std=2)
    about = {"backbone": "test_resnet", "normalisation": normalisation, "pad_type": "", "size": "32"}
    initial_weights.write(network, path, about)
    made: nn.Module = network
    return made


def shown(n: int = 8, size: int = 32) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_a_network_answers_on_its_own_scale_and_size(tmp_path: Path) -> None:
    network = write_teacher(tmp_path / "t.safetensors")
    teacher = distillation.load(str(tmp_path / "t.safetensors"), CPU)
    assert torch.allclose(teacher(shown()), network(normalise(shown(), "half")), atol=1e-5)
    large = shown(size=48)
    small = functional.interpolate(large, (32, 32), mode="bilinear", antialias=True, align_corners=False)
    assert torch.allclose(teacher(large), teacher(small), atol=1e-5)


def test_a_released_classifier_answers_with_its_calibrated_classes() -> None:
    teacher = distillation.load(str(RELEASED), CPU)
    p = teacher(shown(2, 64)).softmax(1)
    assert p.shape == (2, 7)
    assert torch.allclose(teacher(shown(2, 64)).exp().sum(1), torch.ones(2), atol=1e-4)
    assert not torch.allclose(p[0], p[1])


def test_the_teacher_and_the_student_see_the_same_pictures(tmp_path: Path) -> None:
    """And the loss pulls the student's answer on them to the teacher's."""
    config = tiny.plan(
        distillation={"teacher": "t", "weight": 1.0, "temperature": 2.0}, freeze_batch_norm=True, dropout=0, drop_path=0
    )
    seen: list[Tensor] = []
    wanted = torch.randn(8, 7, generator=torch.Generator().manual_seed(1)) * 2

    def teacher(pictures: Tensor) -> Tensor:
        seen.append(pictures)
        return wanted

    network: Any = build(config.backbone).eval()
    optimizer = torch.optim.AdamW([{"params": list(network.parameters()), "highest": 3e-3}])
    stepper = Stepper(network, optimizer, config, Place(CPU), teacher)
    batch = Batch(shown(), [(torch.ones(8, 7, dtype=torch.bool), torch.ones(8))])
    first = stepper.loss(batch).item()
    for _ in range(40):
        stepper.backward([lambda: batch])
        stepper.update(1.0)
    assert all(pictures is batch.pictures for pictures in seen)
    assert stepper.loss(batch).item() < first / 5
    student = network(normalise(shown())).softmax(1)
    assert (student - wanted.softmax(1)).abs().max() < (1 / 7 - wanted.softmax(1)).abs().max() / 2


def test_a_run_with_a_teacher_differs_from_one_without(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data")
    write_teacher(tmp_path / "t.safetensors")
    networks = []
    for name, changes in (("plain", {}), ("taught", {"distillation": {"teacher": str(tmp_path / "t.safetensors")}})):
        config = tiny.plan(**changes)
        networks.append(Trainer(config, make_folds(config, data).train, tmp_path / name).run().state_dict())
    assert not torch.equal(networks[0]["classifier.weight"], networks[1]["classifier.weight"])


def test_what_is_no_teacher_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"distillation\.teacher: there is no"):
        distillation.load(str(tmp_path / "nothing"), CPU)
    with pytest.raises(ValueError, match=r"distillation\.teacher"):
        distillation.load(str(tmp_path), CPU)
    initial_weights.write(build("test_resnet"), tmp_path / "silent.safetensors", {})
    with pytest.raises(ValueError, match=r"silent\.safetensors does not say of which network"):
        distillation.load(str(tmp_path / "silent.safetensors"), CPU)
