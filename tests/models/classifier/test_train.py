"""Training that is killed and taken up again is the training that never stopped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.classifier import train
from models.classifier.augment import augment
from models.classifier.config import Augmentation, TrainConfig
from models.classifier.network import build
from models.classifier.train import Trainer, make_folds
from tests.models.classifier import tiny


class Killed(Exception):  # noqa: N818
    """Stands for a power cut."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a network is slower on two threads, and very much so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def trainer(config: TrainConfig, data: Path, folder: Path) -> Trainer:
    return Trainer(config, make_folds(config, data).train, folder)


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("step", [2, 5], ids=["in the first epoch", "in the second epoch"])
def test_a_killed_run_goes_on_to_the_same_weights(
    precision: str, step: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.plan(precision=precision)
    whole = trainer(config, data, tmp_path / "whole").run()
    steps = 0

    def dying(*arguments: Any) -> Tensor:
        nonlocal steps
        steps += 1
        if steps == step:
            raise Killed
        return augment(*arguments)

    killed = trainer(config, data, tmp_path / "killed")
    assert killed.steps_per_epoch == 3
    monkeypatch.setattr(train, "augment", dying)
    with pytest.raises(Killed):
        killed.run()
    torch.manual_seed(12345)
    resumed = trainer(config, data, tmp_path / "killed")
    epochs: list[int] = []
    network = resumed.run(lambda epoch, _: epochs.append(epoch))
    assert epochs == ([1, 2] if step == 2 else [2])
    assert same(network, whole)
    assert not list((tmp_path / "killed").glob("*.tmp"))


def test_a_finished_run_is_not_trained_again(data: Path, tmp_path: Path) -> None:
    config = tiny.plan()
    whole = trainer(config, data, tmp_path).run()
    again = trainer(config, data, tmp_path).run(lambda *_: pytest.fail("trained again"))
    assert same(again, whole)


def test_another_plan_does_not_go_on_with_these_weights(data: Path, tmp_path: Path) -> None:
    trainer(tiny.plan(), data, tmp_path).run()
    with pytest.raises(ValueError, match="another configuration: choose another --out folder"):
        trainer(tiny.plan(lr=0.1), data, tmp_path).run()


def test_a_loss_that_is_no_number_stops_the_run(data: Path, tmp_path: Path) -> None:
    broken = trainer(tiny.plan(), data, tmp_path)
    with torch.no_grad():
        next(iter(broken.network.parameters())).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower lr"):
        broken.run()
    assert not (tmp_path / "last.pt").exists()


def test_what_is_trained_is_the_average_and_in_evaluation_mode(data: Path, tmp_path: Path) -> None:
    run = trainer(tiny.plan(), data, tmp_path)
    network = run.run()
    assert not network.training
    assert not same(network, run.network)


def test_weight_decay_spares_norms_and_biases(data: Path, tmp_path: Path) -> None:
    decayed, plain = trainer(tiny.plan(), data, tmp_path).optimizer.param_groups
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim <= 1 for p in plain["params"])
    assert decayed["weight_decay"] > plain["weight_decay"] == 0


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no_such_network"):
        build("no_such_network")


def test_augmentation_changes_pictures_and_keeps_their_range() -> None:
    pictures = torch.randint(0, 256, (8, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one, same_seed, other = (
        augment(pictures, 32, Augmentation(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert one.shape == (8, 3, 32, 32)
    assert torch.equal(one, same_seed)
    assert not torch.equal(one, other)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
