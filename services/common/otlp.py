"""Spans to an OpenTelemetry collector, by OTLP over HTTP. Imported only where one is named.

A collector that is slow or away costs the spans: they wait in a bounded queue and a thread of their own, and the log
says once that they are lost and once that they arrive again.
"""

import logging
import threading
from collections.abc import Mapping, Sequence

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from services.common.spans import ATTRIBUTES, Kind
from services.common.spans import Span as SpanData

TIMEOUT_S, CLOSE_S = 2.0, 2.0
KINDS: Mapping[Kind, SpanKind] = {
    "server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL,
}  # fmt: skip
SERVER_ERROR = 500


class _Exporter(OTLPSpanExporter):
    """Tells of a change only: the library would write a line for every batch, with the collector's words."""

    _lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        lost = result is not SpanExportResult.SUCCESS
        if lost != self._lost:
            self._lost = lost
            log = structlog.get_logger()
            log.warning("traces are lost", dependency="otlp") if lost else log.info("traces arrive", dependency="otlp")
        return result


class OtlpRecorder:
    """spans.Recorder by OpenTelemetry's SDK. Its sampler obeys the caller's flag, and OTEL_TRACES_SAMPLER."""

    def __init__(self, service: str, endpoint: str) -> None:
        """`endpoint`: the collector's, without /v1/traces."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = _Exporter(endpoint.rstrip("/") + "/v1/traces", timeout=TIMEOUT_S)
        resource = Resource.create({"service.name": service, "service.namespace": "melalog"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("melalog")

    def start(self, name: str, parent: str, kind: Kind, at_ns: int | None = None) -> Span:
        """Under the parent that is named, never under what another library has put into the context."""
        return self._tracer.start_span(name, _context(parent), KINDS[kind], start_time=at_ns)

    def traceparent(self, span: Span) -> str:
        """As W3C writes it."""
        at = span.get_span_context()
        return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"

    def finish(self, span: Span, described: SpanData, at_ns: int | None = None) -> None:
        """With what the allow-list lets through; a failure is marked without its words."""
        attributes = described.attributes
        span.update_name(described.name)
        span.set_attributes({ATTRIBUTES[key]: value for key, value in attributes.items() if key in ATTRIBUTES})
        if "error" in attributes or int(attributes.get("status", 0)) >= SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        span.end(at_ns)

    def close(self) -> None:
        """The library waits half a minute for a collector that is away; we do not."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


def _context(parent: str) -> Context:
    if not parent:
        return Context()
    _, trace, span, flags = parent.split("-")
    at = SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(at), Context())
