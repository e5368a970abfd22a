"""The loop's helpers: batches are computed ahead in order, and FSDP 1 is refused by name."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from models.vlm.training.finetune import sharding
from models.vlm.training.finetune.finetune_config import FinetuneConfig
from models.vlm.vlm_errors import ShardingError


def test_what_is_made_ahead_comes_in_order_and_one_early() -> None:
    computed: list[int] = []
    second = threading.Event()

    def make(step: int) -> int:
        computed.append(step)
        if step == 4:
            second.set()
        return step

    steps = sharding.ahead(make, 3, 6)
    assert next(steps) == 3
    assert second.wait(10)
    assert list(steps) == [4, 5]
    assert computed == [3, 4, 5]
    assert list(sharding.ahead(make, 6, 6)) == []


def test_what_cannot_be_made_is_raised_where_it_is_used() -> None:
    def make(step: int) -> int:
        raise ValueError(f"broken {step}")

    with pytest.raises(ValueError, match="broken 0"):
        next(sharding.ahead(make, 0, 2))


def test_fsdp_1_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def old(**_: Any) -> Any:
        return SimpleNamespace(state=SimpleNamespace(fsdp_plugin=SimpleNamespace(fsdp_version=1)))

    monkeypatch.setattr(sharding, "Accelerator", old)
    with pytest.raises(ShardingError, match=r"fsdp-8gpu\.yaml"):
        sharding.accelerator(FinetuneConfig())
