"""One assessment, one trace: real processes, a real collector's protocol, and nothing of the patient in it."""

import time

import httpx2

from tests.conftest import Observed
from tests.fakes.collector import Span
from tests.pictures import encode, lesion

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=CANARY", "baggage": "patient=CANARY"}
SERVER, CLIENT = 2, 3
WHOLE = 18
ALLOWED = {
    "http.request.method", "http.route", "http.response.status_code", "error.type", "melalog.dependency",
    "melalog.outcome", "melalog.reason", "melalog.engine", "melalog.model", "melalog.batch_size",
}  # fmt: skip


def assess(observed: Observed, headers: dict[str, str]) -> httpx2.Response:
    files = {"image": ("CANARY.jpg", encode(lesion()))}
    data = {"modality": "dermoscopy", "questionnaire": '{"age": 71, "sex": "male"}'}
    url = f"{observed.system.url}/v1/assessments"
    return httpx2.post(url, files=files, data=data, headers=headers, timeout=20, trust_env=False)


def test_one_trace_across_the_four_services(observed: Observed) -> None:
    answer = assess(observed, SENT)
    assert answer.status_code == 200, answer.text
    spans = observed.collector.of(TRACE, WHOLE)
    assert observed.collector.paths == {"/v1/traces"}
    by_id = {span.id: span for span in spans}

    def parent(span: Span) -> str:
        above = by_id.get(span.parent)
        return f"{above.service} {above.name}" if above else span.parent

    edges = {(f"{span.service} {span.name}", parent(span)) for span in spans}
    assert edges == {
        ("orchestrator POST /v1/assessments", CALLER),
        ("orchestrator upload", "orchestrator POST /v1/assessments"),
        ("orchestrator images", "orchestrator POST /v1/assessments"),
        ("orchestrator fusion", "orchestrator POST /v1/assessments"),
        ("orchestrator POST /v1/classify", "orchestrator images"),
        ("orchestrator POST /v1/verdict", "orchestrator images"),
        ("orchestrator POST /v1/fuse", "orchestrator fusion"),
        ("classifier POST /v1/classify", "orchestrator POST /v1/classify"),
        ("classifier decode wait", "classifier POST /v1/classify"),
        ("classifier decode", "classifier POST /v1/classify"),
        ("classifier queue wait", "classifier POST /v1/classify"),
        ("classifier inference", "classifier POST /v1/classify"),
        ("vlm POST /v1/verdict", "orchestrator POST /v1/verdict"),
        ("vlm decode wait", "vlm POST /v1/verdict"),
        ("vlm decode", "vlm POST /v1/verdict"),
        ("vlm inference", "vlm POST /v1/verdict"),
        ("fusion POST /v1/fuse", "orchestrator POST /v1/fuse"),
        ("fusion fuse", "fusion POST /v1/fuse"),
        ("fusion hosted model", "fusion POST /v1/fuse"),
    }
    kinds = {(span.service, span.name): span.kind for span in spans}
    assert kinds["classifier", "POST /v1/classify"] == SERVER
    assert kinds["orchestrator", "POST /v1/classify"] == kinds["fusion", "hosted model"] == CLIENT
    for span in spans:
        above = by_id.get(span.parent)
        assert span.start <= span.end
        if above and above.service == span.service:
            slack = 2_000_000  # ns: `record` finds out what time it was, a moment later
            assert above.start - slack <= span.start, (span, above)
            assert span.end <= above.end + slack, (span, above)


def test_a_span_says_nothing_of_the_patient_and_nothing_leaves_for_the_hosted_model(observed: Observed) -> None:
    before = len(observed.hosted.requests)
    trace = "1" * 32
    answer = assess(observed, SENT | {"traceparent": f"00-{trace}-{CALLER}-01"})
    spans = observed.collector.of(trace, WHOLE)
    assert {key for span in spans for key in span.attributes} <= ALLOWED
    told = " ".join(span.raw for span in spans)
    for word in ("CANARY", "127.0.0.1", answer.json()["risk"]["level"], "71", "male", "tracestate", "baggage"):
        assert f'"{word}' not in told
    (asked,) = observed.hosted.requests[before:]
    assert not {"traceparent", "tracestate", "baggage"} & set(asked.headers)
    assert trace not in str(asked)


def test_log_lines_of_all_services_name_the_trace(observed: Observed) -> None:
    trace = "2" * 32
    assess(observed, SENT | {"traceparent": f"00-{trace}-{CALLER}-01"})
    services, end = {"orchestrator", "classifier", "vlm", "fusion"}, time.monotonic() + 5
    while services and time.monotonic() < end:  # a line is written when the answer has left
        lines = [line for line in observed.system.output().splitlines() if f'"trace_id": "{trace}"' in line]
        services = {name for name in services if f'"service": "{name}"' not in str(lines)}
    assert not services


def test_who_asks_not_to_be_traced_is_not(observed: Observed) -> None:
    quiet, loud = "3" * 32, "4" * 32
    assess(observed, {"traceparent": f"00-{quiet}-{CALLER}-00"})
    assess(observed, {"traceparent": f"00-{loud}-{CALLER}-01"})
    observed.collector.of(loud, WHOLE)
    assert not [span for span in observed.collector.spans if span.trace == quiet]


def test_a_refused_picture_is_an_outcome(observed: Observed) -> None:
    trace = "5" * 32
    url = f"{observed.system.url}/v1/assessments"
    broken = encode(lesion())[:1500]
    answer = httpx2.post(url, files={"image": ("x.jpg", broken)}, headers={"traceparent": f"00-{trace}-{CALLER}-01"})
    assert answer.status_code == 422
    spans = observed.collector.of(trace, 6)
    (asked,) = (span for span in spans if (span.service, span.name) == ("orchestrator", "POST /v1/classify"))
    assert asked.attributes["melalog.outcome"] in ("refused", "given_up")
