"""Trace context as W3C says, spans that say only what they may, and a collector that is away costs nothing."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.common import spans, telemetry, tracing
from tests.fakes.collector import Collector

SECRET = "the-answer-is-yes"  # noqa: S105  (a marker to look for, no password)
HEX = "0123456789abcdef"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    tracing.close()
    tracing.adopt(None)
    structlog.configure(**before)


@given(
    st.text(HEX, min_size=32, max_size=32), st.text(HEX, min_size=16, max_size=16), st.text(HEX, min_size=2, max_size=2)
)
def test_a_callers_trace_is_handed_on_as_it_came(trace: str, span: str, flags: str) -> None:
    header = f"00-{trace}-{span}-{flags}"
    tracing.adopt(header)
    valid = set(trace) != {"0"} and set(span) != {"0"}
    assert tracing.header() == ({"traceparent": header} if valid else {})
    assert tracing.trace_id() == (trace if valid else "")


@given(st.text(max_size=80) | st.text(HEX + "-", max_size=60))
def test_anything_else_is_no_trace(header: str) -> None:
    tracing.adopt(header)
    assert tracing.header() == {}


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (f"cc-{'a' * 32}-{'b' * 16}-01-what-comes-later", True),
        (f"cc-{'a' * 32}-{'b' * 16}-01", True),
        (f"00-{'a' * 32}-{'b' * 16}-01-{SECRET}", False),
        (f"ff-{'a' * 32}-{'b' * 16}-01", False),
        (f"00-{'A' * 32}-{'b' * 16}-01", False),
        (f"00-{'a' * 32}-{'b' * 16}-01\n{SECRET}", False),
    ],
)
def test_versions(header: str, *, kept: bool) -> None:
    tracing.adopt(header)
    assert tracing.header() == ({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"} if kept else {})


def test_a_request_without_a_trace_does_not_inherit_the_one_before() -> None:
    tracing.adopt(f"00-{'a' * 32}-{'b' * 16}-01")
    tracing.adopt(None)
    assert tracing.header() == {}


def test_off_it_imports_nothing_and_makes_nothing() -> None:
    code = (
        "import sys; from services.common import tracing, telemetry; tracing.configure('x', '')\n"
        "with tracing.span('a'): tracing.record('b', 0, 1)\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_attributes_outside_the_allow_list_and_errors_words_never_leave() -> None:
    collector = Collector()
    tracing.configure("test", collector.url)
    trace = "a" * 32
    tracing.adopt(f"00-{trace}-{'b' * 16}-01")

    def fails() -> None:
        with tracing.span("outer", "server", status=503, answers=SECRET, melanoma=1) as noted:  # type: ignore[arg-type]
            noted.attributes["filename"] = SECRET
            tracing.record("inner", time.perf_counter() - 0.5, time.perf_counter(), batch=3)
            raise ValueError(SECRET)

    with pytest.raises(ValueError, match=SECRET):
        fails()
    tracing.close()
    inner, outer = collector.of(trace, 2)
    assert outer.attributes == {"http.response.status_code": 503, "error.type": "ValueError"}
    assert SECRET not in outer.raw + inner.raw
    assert (outer.parent, inner.parent) == ("b" * 16, outer.id)
    assert inner.attributes == {"melalog.batch_size": 3}
    assert inner.end - inner.start == pytest.approx(5e8, rel=0.01)
    collector.close()


def test_the_allow_list_is_no_wider_than_the_logs() -> None:
    assert set(spans.ATTRIBUTES) - {"batch"} <= telemetry.ALLOWED


@pytest.mark.parametrize("how", ["closed", "silent", "refusing"])
def test_a_collector_that_is_away_slows_nothing_and_floods_no_log(
    how: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if how == "silent":
            held.listen(1)
        refusing = Collector(status=503)
        url = refusing.url if how == "refusing" else f"http://127.0.0.1:{held.getsockname()[1]}"
        telemetry.configure("test")
        tracing.configure("test", url)
        started = time.perf_counter()
        for _ in range(5000):  # more than the queue holds
            with tracing.span("a", "server", status=200):
                pass
        took = time.perf_counter() - started
        closing = time.perf_counter()
        tracing.close()
        assert time.perf_counter() - closing < 3
        refusing.close()
    assert took < 2.5, "half a millisecond a span, on a busy machine"
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] in ([], ["traces are lost"])
    assert not caplog.records
