"""Structured logs that can only say what the allow-list lets them say, and the request id they carry."""

import contextvars
import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any
from uuid import UUID, uuid4

import structlog

from services.common import tracing

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "service", "request_id", "trace_id", "method", "route", "status", "duration_ms",
        "dependency", "outcome", "attempt", "degraded", "risk_engine", "error", "where", "model", "version",
        "sha256", "engine", "threads", "host", "port", "reason",
        "caller",
    }
)  # fmt: skip
"""Keys a log line may have. No picture, answer, score, location or file name is among them."""

_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")


def request_id() -> str:
    """Id of the request in hand; empty outside one."""
    return _request_id.get()


def adopt_request_id(header: str | None) -> str:
    """Take the caller's id if it is a UUID, else mint one; every log line from here on carries it."""
    try:
        chosen = str(UUID(header)) if header else str(uuid4())
    except ValueError:
        chosen = str(uuid4())
    _request_id.set(chosen)
    _caller.set("")
    return chosen


def note_caller(keyed_hash: str) -> None:
    """Who asks, as a keyed hash: every log line of this request carries it from here on."""
    _caller.set(keyed_hash)


def where(error: BaseException) -> str:
    """File and line an error came from: enough to find it, nothing of what it was working on."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown"
    return f"{'/'.join(frames[-1].filename.split('/')[-3:])}:{frames[-1].lineno}"


def _keep_allowed(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in line.items() if key in ALLOWED}


def _add_request_id(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if current := request_id():
        line["request_id"] = current
    if trace := tracing.trace_id():
        line["trace_id"] = trace
    if caller := _caller.get():
        line["caller"] = caller
    return line


def configure(service: str) -> None:
    """JSON lines on standard output, each naming the service. Libraries' chatter is raised to warnings."""

    def add_service(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["service"] = service
        return line

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            add_service,
            _add_request_id,
            _keep_allowed,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    for library in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "uvicorn.access", "PIL"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # Its warnings quote the body.
    for library in ("multipart", "python_multipart"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
