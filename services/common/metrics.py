"""Prometheus metrics, by route and never by path: a path is text from outside, and there is no end of them."""

import os
from functools import cache

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@cache
def _requests() -> Histogram:
    """Made at the first request, so that importing a service twice does not register it twice."""
    return Histogram(
        "melalog_request_duration_seconds",
        "Time from a request's first byte to its answer's last",
        ["route", "method", "status"],
    )


def note_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    _requests().labels(route, method if method in METHODS else "other", status).observe(seconds)


async def show() -> Response:
    """`GET /metrics`: of all of this service's processes, where BentoML runs several."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no annotations
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
