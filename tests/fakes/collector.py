"""An OpenTelemetry collector on 127.0.0.1: takes OTLP over HTTP and keeps the spans."""

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """One span, ids in hex."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    start: int
    end: int
    attributes: dict[str, Any] = field(compare=False)
    raw: str = field(compare=False)


class Collector:
    """Listens until it is closed; `status` is what it answers."""

    def __init__(self, status: int = 200) -> None:
        self.spans: list[Span] = []
        self.status, self.paths = status, set[str]()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.paths.add(self.path)
                collector.spans += _spans(ExportTraceServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def of(self, trace: str, at_least: int, within_s: float = 10) -> list[Span]:
        """The spans of one trace, once there are that many."""
        end = time.monotonic() + within_s
        while True:
            found = [span for span in self.spans if span.trace == trace]
            if len(found) >= at_least:
                return found
            assert time.monotonic() < end, sorted((span.service, span.name) for span in found)
            time.sleep(0.05)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _spans(sent: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            service=next(a.value.string_value for a in of.resource.attributes if a.key == "service.name"),
            name=span.name, trace=span.trace_id.hex(), id=span.span_id.hex(), parent=span.parent_span_id.hex(),
            kind=span.kind, start=span.start_time_unix_nano, end=span.end_time_unix_nano,
            attributes={a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}, raw=str(span),
        )
        for of in sent.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]  # fmt: skip
