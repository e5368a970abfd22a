"""A span as both sides know it: `tracing.py` opens and closes it, `otlp.py` sends it."""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["server", "client", "internal"]
ATTRIBUTES = {
    "method": "http.request.method", "route": "http.route", "status": "http.response.status_code",
    "error": "error.type", "dependency": "melalog.dependency", "outcome": "melalog.outcome",
    "reason": "melalog.reason", "engine": "melalog.engine", "model": "melalog.model", "batch": "melalog.batch_size",
}  # fmt: skip
"""What a span may say, and how OpenTelemetry calls it. Of the picture, the answers and the risk: nothing."""


@dataclass
class Span:
    """What is known of a span when it ends."""

    name: str
    attributes: dict[str, str | int] = field(default_factory=dict)


class Recorder(Protocol):
    """Makes spans; `otlp.OtlpRecorder` sends them to a collector."""

    def start(self, name: str, parent: str, kind: Kind, at_ns: int | None = None) -> Any:
        """A span that has begun, now or at that time."""
        ...

    def traceparent(self, span: Any) -> str:
        """What names it to others."""
        ...

    def finish(self, span: Any, described: Span, at_ns: int | None = None) -> None:
        """End it."""
        ...

    def close(self) -> None:
        """Send what is left; takes two seconds at most."""
        ...
