"""What the engine has been answering, for operators: the service itself stays ready when its engine does not."""

from functools import cache

from prometheus_client import Counter, Gauge


@cache
def _answers() -> Counter:
    """Made at the first answer, so that importing the service twice does not register it twice."""
    return Counter(
        "melalog_vlm_engine_answers", "Answers of the engine, by `ok` or the reason they were not", ["outcome"]
    )


@cache
def _up() -> Gauge:
    return Gauge(
        "melalog_vlm_engine_up",
        "1 when the engine's last answer was usable, 0 when it was not",
        multiprocess_mode="mostrecent",
    )


def note(outcome: str) -> None:
    """Count one answer: `ok`, or a reason as `POST /v1/verdict` names it."""
    _answers().labels(outcome).inc()
    _up().set(outcome == "ok")
