"""Prometheus metrics, by route and never by path: a path is text from outside, and there is no end of them."""

from functools import cache
from typing import Any

import bentoml

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@cache
def _requests() -> Any:
    """Made at the first request: BentoML must have set up its multi-process folder before."""
    return bentoml.metrics.Histogram(
        name="melalog_request_duration_seconds",
        documentation="Time from a request's first byte to its answer's last",
        labelnames=["route", "method", "status"],
    )


def note_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    _requests().labels(route, method if method in METHODS else "other", status).observe(seconds)
