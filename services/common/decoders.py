"""Threads for decoding: a few for ordinary pictures, one for those that fill memory, and a bound on who may wait."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.common import images, metrics, tracing
from services.common.deadline import Deadline
from services.common.errors import Overloaded

MAX_WAITING = 64

T = TypeVar("T")


class Decoders:
    """Big pictures queue among themselves, so that they neither fill memory together nor hold up small ones."""

    def __init__(self, threads: int) -> None:
        self._ordinary = ThreadPoolExecutor(threads, "decode")
        self._big = ThreadPoolExecutor(1, "decode-big")
        self._waiting = 0

    async def run(self, work: Callable[[bytes], T], data: bytes, deadline: Deadline) -> T:
        """Do `work(data)` in a thread. Raises Overloaded, TimeoutError past the deadline, and what `work` raises."""
        if self._waiting >= MAX_WAITING:
            raise Overloaded("Too many pictures are waiting; try again in a moment.")
        self._waiting += 1
        try:
            big = images.is_big(data)
            return await self._measured(
                "big" if big else "ordinary", self._big if big else self._ordinary, work, data, deadline
            )
        finally:
            self._waiting -= 1

    @staticmethod
    async def _measured(
        queue: str, pool: ThreadPoolExecutor, work: Callable[[bytes], T], data: bytes, deadline: Deadline
    ) -> T:
        """Also told of is a picture whose caller's time was up: those are the longest waits."""
        asked, times = time.perf_counter(), list[float]()

        def timed() -> T:
            times.append(time.perf_counter())
            try:
                return work(data)
            finally:
                times.append(time.perf_counter())

        try:
            async with asyncio.timeout(deadline.left()):
                return await asyncio.get_running_loop().run_in_executor(pool, timed)
        finally:
            began, ended = (*times, *[time.perf_counter()] * 2)[:2]
            metrics.note_decoding(queue, began - asked, ended - began if times else None)
            tracing.record("decode wait", asked, began)
            if times:
                tracing.record("decode", began, ended)

    def close(self) -> None:
        """Stop the threads after what they are doing."""
        for pool in (self._ordinary, self._big):
            pool.shutdown(wait=False, cancel_futures=True)
