"""How often one caller may ask: a token bucket each, in this process's memory.

Per replica on purpose: three replicas let a caller through up to three times as often, and need no shared store.
"""

import time
from collections.abc import Callable

MAX_CALLERS = 10_000


class RateLimiter:
    """`per_minute` at once, and as many again every minute; 0 is no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._clock = float(per_minute), clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, caller: str) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        if not self._capacity:
            return 0.0
        now = self._clock()
        left = self._left(caller, now)
        if left < 1:
            return (1 - left) * 60 / self._capacity
        if len(self._buckets) >= MAX_CALLERS:
            # A full bucket is no different from none.
            self._buckets = {one: at for one, at in self._buckets.items() if self._left(one, now) < self._capacity}
        self._buckets[caller] = left - 1, now
        return 0.0

    def _left(self, caller: str, now: float) -> float:
        left, at = self._buckets.get(caller, (self._capacity, now))
        return min(self._capacity, left + (now - at) * self._capacity / 60)
