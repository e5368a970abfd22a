"""What the engine has been answering, for operators: the service itself stays ready when its engine does not."""

from prometheus_client import Counter, Gauge, Histogram

from services.common.metrics import SECONDS

_answers = Counter(
    "melalog_vlm_engine_answers", "Answers of the engine, by `ok` or the reason they were not", ["outcome"]
)
_duration = Histogram(
    "melalog_vlm_engine_duration_seconds", "Time the engine took, waiting for it included", buckets=SECONDS
)
_up = Gauge(
    "melalog_vlm_engine_up",
    "1 when the engine's last answer was usable, 0 when it was not",
    multiprocess_mode="mostrecent",
)


def note(outcome: str) -> None:
    """Count one answer: `ok`, or a reason as `POST /v1/verdict` names it."""
    _answers.labels(outcome).inc()
    _up.set(outcome == "ok")


def took(seconds: float) -> None:
    """Of one question to the engine, however it ended."""
    _duration.observe(seconds)
