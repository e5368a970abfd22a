"""The queue before the network: batches form, the hopeless are dropped, one bad picture fails alone."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from services.classifier.batcher import Batcher
from services.classifier.engine.port import Scores
from services.common.deadline import Deadline
from services.common.errors import EngineDown, Overloaded

POISON = 200
LATER = 30.0


class FakeEngine:
    """Answers with the picture's own value; fails on a batch that holds a poisonous one; waits at a gate."""

    name = "fake"

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open, self.running = threading.Event(), threading.Event()
        self.open.set()

    def close(self) -> None:
        pass

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        values = [int(picture[0, 0, 0]) for picture in batch]
        self.batches.append(values)
        self.running.set()
        assert self.open.wait(10)
        if any(value >= POISON for value in values):
            raise RuntimeError("the runtime failed")
        return [score(value) for value in values]


def score(value: int) -> Scores:
    empty = np.zeros(0, np.float32)
    return Scores(melanoma=value / 255, malignant=1.0, classes=empty, logit=value, ood=0.0, heatmap=empty)


def picture(value: int) -> NDArray[np.uint8]:
    return np.full((2, 2, 3), value, np.uint8)


def play(scenario: Callable[[Batcher, FakeEngine], Coroutine[Any, Any, None]], waiting: int = 64) -> FakeEngine:
    engine = FakeEngine()
    batcher = Batcher(engine, 8, waiting)

    async def timed() -> None:
        async with asyncio.timeout(20):
            await scenario(batcher, engine)

    try:
        asyncio.run(timed())
    finally:
        engine.open.set()
        batcher.close()
    return engine


def ask(batcher: Batcher, value: int, seconds: float = LATER) -> "asyncio.Task[Scores]":
    return asyncio.create_task(batcher.score(picture(value), Deadline.after(seconds)))


async def busy(batcher: Batcher, engine: FakeEngine) -> "asyncio.Task[Scores]":
    """A first picture (1) that keeps the network busy until the gate opens."""
    engine.open.clear()
    first = ask(batcher, 1)
    await asyncio.to_thread(engine.running.wait, 10)
    return first


def test_an_idle_network_takes_one_picture_at_once_and_a_busy_one_finds_a_batch_in_order() -> None:
    async def scenario(batcher: Batcher, engine: FakeEngine) -> None:
        first = await busy(batcher, engine)
        others = [ask(batcher, value) for value in range(2, 13)]
        await asyncio.sleep(0)
        engine.open.set()
        found = await asyncio.gather(first, *others)
        assert [answer.logit for answer in found] == list(range(1, 13))

    assert play(scenario).batches == [[1], [2, 3, 4, 5, 6, 7, 8, 9], [10, 11, 12]]


@settings(max_examples=25)
@given(st.lists(st.integers(2, 255), min_size=1, max_size=20))
def test_a_failing_picture_fails_alone(values: list[int]) -> None:
    async def scenario(batcher: Batcher, engine: FakeEngine) -> None:
        first = await busy(batcher, engine)
        others = [ask(batcher, value) for value in values]
        await asyncio.sleep(0)
        engine.open.set()
        await first
        for value, answer in zip(values, await asyncio.gather(*others, return_exceptions=True), strict=True):
            if value >= POISON:
                assert isinstance(answer, RuntimeError)
            else:
                assert isinstance(answer, Scores)
                assert answer.logit == value

    play(scenario)


def test_a_full_queue_sheds_at_once_and_takes_again_once_it_is_empty() -> None:
    async def scenario(batcher: Batcher, engine: FakeEngine) -> None:
        waiting = [await busy(batcher, engine), *(ask(batcher, value) for value in (2, 3, 4))]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.score(picture(5), Deadline.after(LATER))
        engine.open.set()
        await asyncio.gather(*waiting)
        assert (await batcher.score(picture(6), Deadline.after(LATER))).logit == 6

    assert play(scenario, waiting=3).batches == [[1], [2, 3, 4], [6]]


def test_who_gave_up_or_ran_out_of_time_is_not_computed() -> None:
    async def scenario(batcher: Batcher, engine: FakeEngine) -> None:
        first = await busy(batcher, engine)
        cancelled, expired, kept = ask(batcher, 2), ask(batcher, 3, 0.05), ask(batcher, 4)
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(TimeoutError):
            await expired
        engine.open.set()
        assert (await kept).logit == 4
        await first

    assert play(scenario).batches == [[1], [4]]


def test_no_time_left_is_a_timeout_and_costs_nothing() -> None:
    async def scenario(batcher: Batcher, engine: FakeEngine) -> None:
        with pytest.raises(TimeoutError):
            await batcher.score(picture(2), Deadline.after(0))
        assert (await batcher.score(picture(3), Deadline.after(LATER))).logit == 3

    assert play(scenario).batches == [[3]]


def test_after_a_failed_batch_who_gave_up_meanwhile_is_not_tried_again() -> None:
    async def scenario(batcher: Batcher, engine: FakeEngine) -> None:
        first = await busy(batcher, engine)
        bad, gone, kept = ask(batcher, POISON), ask(batcher, 2), ask(batcher, 3)
        await asyncio.sleep(0)
        engine.running.clear()
        engine.open.set()
        engine.open.clear()
        await first
        await asyncio.to_thread(engine.running.wait, 10)
        gone.cancel()
        await asyncio.sleep(0)
        engine.open.set()
        assert (await kept).logit == 3
        with pytest.raises(RuntimeError):
            await bad

    assert play(scenario).batches == [[1], [POISON, 2, 3], [POISON], [3]]


def test_an_engine_that_answers_too_little_leaves_nobody_hanging() -> None:
    class Short(FakeEngine):
        def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
            return super().run(batch)[1:]

    async def scenario() -> None:
        batcher = Batcher(Short(), 8, 64)
        async with asyncio.timeout(10):
            answers = await asyncio.gather(ask(batcher, 1), ask(batcher, 2), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError, ValueError]
        batcher.close()

    asyncio.run(scenario())


def test_pictures_of_two_sizes_do_not_spoil_each_other() -> None:
    async def scenario(batcher: Batcher, engine: FakeEngine) -> None:
        first = await busy(batcher, engine)
        small = ask(batcher, 2)
        large = asyncio.create_task(batcher.score(np.full((4, 4, 3), 3, np.uint8), Deadline.after(LATER)))
        await asyncio.sleep(0)
        engine.open.set()
        assert [answer.logit for answer in await asyncio.gather(first, small, large)] == [1, 2, 3]

    play(scenario)


def test_an_engine_that_is_down_is_asked_once_for_a_batch_not_once_for_each_picture() -> None:
    class Down(FakeEngine):
        def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
            super().run(batch)
            raise EngineDown("timeout")

    async def scenario() -> None:
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*(ask(batcher, value) for value in (1, 2, 3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [EngineDown] * 3

    engine = Down()
    batcher = Batcher(engine, 8, 64)
    asyncio.run(scenario())
    batcher.close()
    assert engine.batches == [[1, 2, 3]]


def test_waiting_is_measured_for_who_gave_up_as_well() -> None:
    """The longest waits are those that were for nothing."""

    def waits(what: str) -> float:
        return REGISTRY.get_sample_value(f"melalog_queue_wait_seconds_{what}") or 0.0

    async def scenario(batcher: Batcher, engine: FakeEngine) -> None:
        engine.open.clear()
        first = asyncio.create_task(batcher.score(picture(1), Deadline.after(LATER)))
        await asyncio.to_thread(engine.running.wait)
        with pytest.raises(TimeoutError):
            await batcher.score(picture(2), Deadline.after(0.1))
        engine.open.set()
        await first
        await asyncio.sleep(0.05)

    count, seconds = waits("count"), waits("sum")
    assert play(scenario).batches == [[1]]
    assert waits("count") - count == 2
    assert waits("sum") - seconds >= 0.1
