from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.vlm.training.pretrain.pretrain_loop import PretrainLoop, Schedule

PLAN = Schedule(epochs=4, batch_size=8, lr=0.01)
INPUTS = torch.linspace(-1, 1, 64)[:, None]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def step(net: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
    noisy = INPUTS[rows] + 0.01 * torch.randn(len(rows), 1, generator=generator)
    return (net(noisy) - noisy**2).square().mean()


def loop(folder: Path, plan: Schedule = PLAN) -> PretrainLoop:
    return PretrainLoop(network(), torch.full((64,), 1 / 64), plan, folder)


class Killed(Exception):  # noqa: N818
    pass


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_a_killed_run_ends_exactly_where_an_unbroken_one_does(tmp_path: Path) -> None:
    losses: list[float] = []
    whole = loop(tmp_path / "whole").run(step, lambda _, loss, __: losses.append(loss))
    assert losses[-1] < losses[0]

    def kill(epoch: int, *_: object) -> None:
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        loop(tmp_path / "broken").run(step, kill)
    torch.manual_seed(99)
    resumed = loop(tmp_path / "broken")
    again = resumed.run(step)
    assert resumed.epoch == 4
    torch.testing.assert_close(weights(again), weights(whole), rtol=0, atol=0)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    whole = loop(tmp_path).run(step)

    def never(*_: object) -> Tensor:
        raise AssertionError

    torch.testing.assert_close(weights(loop(tmp_path).run(never)), weights(whole))


def test_another_plan_does_not_go_on_from_it(tmp_path: Path) -> None:
    loop(tmp_path).run(step)
    with pytest.raises(ValueError, match="choose another --out"):
        loop(tmp_path, Schedule(epochs=5, batch_size=8, lr=0.01)).run(step)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="lower lr"):
        loop(tmp_path).run(lambda net, rows, _: net(INPUTS[rows]).sum() * float("nan"))


def test_a_slow_part_is_slow_and_norms_are_not_decayed(tmp_path: Path) -> None:
    plan = Schedule(epochs=1, batch_size=8, lr=0.01, slow=0.1, slow_prefix="0.")
    groups = loop(tmp_path, plan).optimizer.param_groups
    found = {(round(group["initial_lr"], 4), group["weight_decay"], group["params"][0].ndim) for group in groups}
    assert found == {(0.001, 0.05, 2), (0.001, 0.0, 1), (0.01, 0.05, 2), (0.01, 0.0, 1)}
