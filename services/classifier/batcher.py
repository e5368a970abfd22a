"""A bounded queue in front of the network: what waits when it is free goes in together."""

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.classifier import metrics
from services.classifier.engine.port import Engine, Scores
from services.common import tracing
from services.common.deadline import Deadline
from services.common.errors import EngineDown, Overloaded


@dataclass
class _Waiting:
    prepared: NDArray[np.uint8]
    deadline: Deadline
    asked: float = field(default_factory=time.perf_counter)
    began: float = 0.0
    ended: float = 0.0
    batch: int = 0
    answer: "asyncio.Future[Scores]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def wanted(self) -> bool:
        """Someone still waits, and has time left."""
        return not self.answer.done() and self.deadline.left() > 0


class Batcher:
    """Never waits to fill a batch: an idle network takes one picture at once, a busy one finds several.

    A picture whose caller has given up or run out of time is dropped, not computed.
    """

    def __init__(self, engine: Engine, max_batch: int, max_waiting: int) -> None:
        self._engine, self._max_batch, self._max_waiting = engine, max_batch, max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, "network")
        self._runner: asyncio.Task[None] | None = None

    async def score(self, prepared: NDArray[np.uint8], deadline: Deadline) -> Scores:
        """Score one prepared picture. Raises Overloaded when the queue is full, TimeoutError past the deadline."""
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded("Too many pictures are waiting; try again in a moment.")
        entry = _Waiting(prepared, deadline)
        self._waiting.append(entry)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._drain())
        async with asyncio.timeout(deadline.left()):
            answer = await entry.answer
        tracing.record("queue wait", entry.asked, entry.began)
        tracing.record("inference", entry.began, entry.ended, batch=entry.batch, engine=self._engine.name)
        return answer

    async def _drain(self) -> None:
        while self._waiting:
            batch: list[_Waiting] = []
            while self._waiting and len(batch) < self._max_batch:
                entry = self._waiting.popleft()
                metrics.waited(time.perf_counter() - entry.asked)
                if entry.wanted():
                    batch.append(entry)
            if batch:
                await self._run(batch)

    async def _run(self, batch: list[_Waiting]) -> None:
        """Run a batch; if it fails, each alone, so that one bad picture fails alone; not when the engine is down."""
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        try:
            stacked = np.stack([entry.prepared for entry in batch])
            scores = await loop.run_in_executor(self._thread, self._engine.run, stacked)
            found = list(zip(batch, scores, strict=True))
        except Exception as error:  # noqa: BLE001  whatever the runtime raises must reach those who wait, or they hang
            if isinstance(error, EngineDown):
                metrics.engine(up=False)
            if len(batch) == 1 or isinstance(error, EngineDown):
                for entry in batch:
                    if not entry.answer.done():
                        entry.answer.set_exception(error)
                return
            for entry in batch:
                if entry.wanted():
                    await self._run([entry])
            return
        ended = time.perf_counter()
        metrics.ran(len(batch), ended - began)
        metrics.engine(up=True)
        for entry, score in found:
            entry.began, entry.ended, entry.batch = began, ended, len(batch)
            if not entry.answer.done():
                entry.answer.set_result(score)

    def close(self) -> None:
        """Stop the thread after what it is doing."""
        self._thread.shutdown(wait=False, cancel_futures=True)
