"""W3C trace context: taken from the caller, named in every log line, handed to our own services and to nobody else.

Spans are made only where an OTLP collector is named; else what the caller sent is handed on as it came, and nothing of
OpenTelemetry is imported here. `tracestate` and `baggage` end here: they are text from outside.
"""

import contextlib
import contextvars
import re
import time
from collections.abc import Iterator

from services.common.spans import Kind, Recorder, Span

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_parent: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")


_recorder: Recorder | None = None


def configure(service: str, endpoint: str) -> None:
    """Send spans to that OTLP collector from here on; nothing where it is empty."""
    global _recorder  # noqa: PLW0603  (one per process, like the logs)
    if endpoint:
        from services.common import otlp  # noqa: PLC0415  (loads the exporter)

        _recorder = otlp.OtlpRecorder(service, endpoint)


def close() -> None:
    """Send what is left, and stop."""
    global _recorder  # noqa: PLW0603
    if _recorder is not None:
        _recorder.close()
        _recorder = None


def adopt(header: str | None) -> None:
    """Continue the caller's trace, if it named one as W3C says."""
    found = _TRACEPARENT.fullmatch(header or "")
    version, trace, span, flags, rest = found.groups() if found else ("", "", "", "", None)
    known = found and not (version == "00" and rest)
    _parent.set(f"00-{trace}-{span}-{flags}" if known else "")


def trace_id() -> str:
    """Of the request in hand; empty where there is no trace."""
    return _parent.get()[3:35]


def header() -> dict[str, str]:
    """What hands the trace on to one of our services."""
    current = _parent.get()
    return {"traceparent": current} if current else {}


@contextlib.contextmanager
def span(name: str, kind: Kind = "internal", *, wanted: bool = True, **attributes: str | int) -> Iterator[Span]:
    """One step of the request in hand; what is handed on within it names it as the parent."""
    opened = Span(name, attributes)
    recorder = _recorder
    if recorder is None or not wanted:
        yield opened
        return
    begun = recorder.start(name, _parent.get(), kind)
    token = _parent.set(recorder.traceparent(begun))
    try:
        yield opened
    except BaseException as error:
        opened.attributes.setdefault("error", type(error).__name__)  # never its text
        raise
    finally:
        _parent.reset(token)
        recorder.finish(begun, opened)


def record(name: str, began: float, ended: float, **attributes: str | int) -> None:
    """A step that was over before it could be told of: both times as of `time.perf_counter`."""
    if _recorder is None:
        return
    wall = time.time() - time.perf_counter()
    begun = _recorder.start(name, _parent.get(), "internal", round((wall + began) * 1e9))
    _recorder.finish(begun, Span(name, attributes), round((wall + ended) * 1e9))
