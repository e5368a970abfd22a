"""The token bucket: fair to each caller, exact in what it promises, small."""

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator import rate
from services.orchestrator.rate import RateLimiter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 100), st.lists(st.floats(0, 30), max_size=300))
def test_never_more_than_promised_and_the_wait_is_long_enough(per_minute: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter, passed = RateLimiter(per_minute, clock), 0
    for pause in pauses:
        clock.now += pause
        wait = limiter.wait("a")
        passed += not wait
        assert passed <= per_minute * (1 + clock.now / 60) + 1e-6
        if wait:
            clock.now += wait + 1e-6
            assert limiter.wait("a") == 0
            passed += 1


def test_one_caller_does_not_use_up_anothers() -> None:
    limiter = RateLimiter(2, Clock())
    assert [limiter.wait("a") > 0 for _ in range(3)] == [False, False, True]
    assert limiter.wait("b") == 0


def test_nobody_waits_without_a_limit() -> None:
    limiter = RateLimiter(0)
    assert not any(limiter.wait("a") for _ in range(1000))


def test_who_has_not_asked_for_a_while_is_forgotten() -> None:
    clock = Clock()
    limiter = RateLimiter(2, clock)
    for number in range(rate.MAX_CALLERS):
        limiter.wait(str(number))
    clock.now = 120
    limiter.wait("new")
    assert len(limiter._buckets) == 1  # noqa: SLF001
