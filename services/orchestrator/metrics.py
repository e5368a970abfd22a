"""What assessments come to, and where their time goes. Levels are counted, never by person, place or picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

from prometheus_client import Counter, Histogram

from services.common import tracing
from services.common.metrics import SECONDS
from services.contracts import Assessment, Level

DEGRADED = ("classifier", "vlm", "fusion", "llm")
ENGINES = ("llm", "rules")
YES, NO = "yes", "no"

_assessments = Counter(
    "melalog_assessments",
    "Assessments; stacked: classifier and vlm were weighed together, as fitted for this pair",
    ["level", "risk_engine", "stacked"],
)
_degraded = Counter("melalog_assessments_degraded", "Assessments without this part; one may lack several", ["reason"])
_steps = Histogram(
    "melalog_assessment_step_duration_seconds", "Time that one step of an assessment took", ["step"], buckets=SECONDS
)


def begin() -> None:
    """Have everything at 0 from the start: an alarm sees the first one as an increase."""
    for level in get_args(Level):
        for engine in ENGINES:
            for stacked in (YES, NO):
                _assessments.labels(level, engine, stacked)
    for reason in DEGRADED:
        _degraded.labels(reason)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Measure `upload`, `images` or `fusion`."""
    with tracing.span(name), _steps.labels(name).time():
        yield


def assessed(found: Assessment) -> None:
    """Count one."""
    _assessments.labels(found.risk.level, found.fusion.engine, YES if found.fusion.stacked else NO).inc()
    for reason in found.degraded:
        _degraded.labels(reason).inc()
