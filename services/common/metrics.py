"""Prometheus metrics of every service. Labels are fixed words, and nothing of a picture, an answer or a person.

By route and never by path: a path is text from outside, and there is no end of them.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0)
"""An assessment takes a quarter of a second without the hosted model, and ten at most by default."""
ALARMING = (429, 500, 503)

_requests = Histogram(
    "melalog_request_duration_seconds",
    "Time from a request's first byte to its answer's last",
    ["route", "method", "status"],
    buckets=SECONDS,
)
_dependencies = Histogram(
    "melalog_dependency_duration_seconds",
    "Time another service took to answer, by what came of it",
    ["dependency", "outcome"],
    buckets=SECONDS,
)
_decode_wait = Histogram(
    "melalog_decode_wait_seconds", "Time a picture waited for a decoder, by the queue it was in", ["queue"]
)
_decode = Histogram("melalog_decode_duration_seconds", "Time a picture took to decode and to prepare", ["queue"])
_rejected = Counter("melalog_pictures_rejected", "Pictures that were refused", ["reason"])
_model = Gauge(
    "melalog_model_info",
    "1 for each model in use; sha256 tells replicas with different ones apart",
    ["name", "version", "sha256"],
    multiprocess_mode="max",
)


def expect(app: ASGIApp) -> None:
    """Have its POST routes' failures at 0 from the start: an alarm sees the first one as an increase."""
    for route in getattr(app, "routes", ()):
        if isinstance(route, Route) and "POST" in (route.methods or ()):
            for status in ALARMING:
                _requests.labels(route.path, "POST", status)


def note_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answered request. `method`: one of METHODS, or `other`."""
    _requests.labels(route, method, status).observe(seconds)


def note_dependency(dependency: str, outcome: str, seconds: float) -> None:
    """Count one request to another service."""
    _dependencies.labels(dependency, outcome).observe(seconds)


def note_decoding(queue: str, waited: float, took: float | None) -> None:
    """One picture; `took` is None for one whose caller's time was up before it was decoded."""
    _decode_wait.labels(queue).observe(waited)
    if took is not None:
        _decode.labels(queue).observe(took)


def note_rejected(reason: str) -> None:
    """Count one picture that was refused."""
    _rejected.labels(reason).inc()


def note_model(name: str, version: str, sha256: str | None) -> None:
    """Which model this process answers with; an engine elsewhere may not tell its digest."""
    _model.labels(name, version, sha256 or "").set(1)


async def show() -> Response:
    """`GET /metrics`: of all of this service's processes, where BentoML runs several."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no annotations
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
