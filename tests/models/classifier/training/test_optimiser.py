"""Which weights move, how fast, with what decay; and how many pictures fit."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.classifier.network.networks import build
from models.classifier.training import batch_size, optimiser
from models.classifier.training.config import Optimiser
from models.classifier.training.devices import Place
from models.classifier.training.training_errors import TrainingError
from tests.models.classifier import tiny

CPU = Place(torch.device("cpu"))


def network() -> Any:
    return build("test_efficientnet")


def test_weight_decay_spares_norms_and_biases() -> None:
    for group in optimiser.groups(network(), Optimiser(weight_decay=0.1)):
        dimensions = {p.ndim > 1 for p in group["params"]}
        assert len(dimensions) == 1
        assert group["weight_decay"] == (0.1 if dimensions == {True} else 0)


def test_every_weight_is_trained_once_and_the_head_at_its_own_rate() -> None:
    net = network()
    for decay in (1.0, 0.7):
        chosen = Optimiser(lr=1e-3, head_lr=5e-3, head_weight_decay=0.01, layer_decay=decay)
        groups = optimiser.groups(net, chosen)
        found = [id(p) for group in groups for p in group["params"]]
        assert sorted(found) == sorted(id(p) for p in net.parameters())
        head = {id(p) for p in net.get_classifier().parameters()}
        of_head = [group for group in groups if head & {id(p) for p in group["params"]}]
        assert {group["lr"] for group in of_head} == {5e-3}
        assert {group["weight_decay"] for group in of_head} == {0.0, 0.01}


def test_deeper_layers_learn_more_slowly() -> None:
    net = network()
    groups = optimiser.groups(net, Optimiser(lr=1.0, layer_decay=0.5))
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    first, last = rate[id(net.conv_stem.weight)], rate[id(net.conv_head.weight)]
    assert first < last <= 1
    ratios = {round(r, 6) for r in rate.values()}
    assert all(any(r == pytest.approx(0.5**k, abs=1e-5) for k in range(30)) for r in ratios)


def test_a_frozen_body_stays_as_when_serving() -> None:
    net = network()
    optimiser.freeze(net, frozen=True)
    optimiser.set_mode(net, frozen=True, freeze_batch_norm=False)
    assert {id(p) for p in net.parameters() if p.requires_grad} == {id(p) for p in net.get_classifier().parameters()}
    assert not any(module.training for module in net.modules() if isinstance(module, _BatchNorm))
    optimiser.freeze(net, frozen=False)
    optimiser.set_mode(net, frozen=False, freeze_batch_norm=True)
    assert all(p.requires_grad for p in net.parameters())
    assert net.conv_stem.training
    assert not net.bn1.training


class Hungry(nn.Module):
    """Takes so many pictures and no more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.layer = most, nn.Linear(3, 7)

    def forward(self, batch: Tensor) -> Tensor:
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        scores: Tensor = self.layer(batch.mean((2, 3)))
        return scores


def test_the_largest_batch_that_fits_is_found() -> None:
    found = batch_size.batch_size(tiny.plan(), 1000, CPU, Hungry(100))
    assert found == 64
    assert batch_size.batch_size(tiny.plan(), 40, CPU, Hungry(100)) == 32
    with pytest.raises(TrainingError, match="not even two pictures of 40 px"):
        batch_size.batch_size(tiny.plan(), 1000, CPU, Hungry(0))
