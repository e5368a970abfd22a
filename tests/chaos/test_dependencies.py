"""A dead, frozen, slow or garbled service: a degraded answer or a 503 with Retry-After, inside the deadline."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Running, running
from tests.fakes import node
from tests.fakes.node import Behaviour, FakeNode
from tests.pictures import encode, lesion

DEADLINE_S = 3.0
MODEL = {"name": "fake", "version": "1", "sha256": "0" * 64}
CLASSIFIED = {
    "status": "ok", "melanoma": 0.02, "malignant": 0.05, "classes": {"mel": 0.02, "nv": 0.98}, "model": MODEL,
    "picture": {"quality": "good", "problems": []}, "logit": -3.9, "logit_sd": 0.4, "prevalence": 0.12,
    "malignant_prevalence": 0.2, "from_a_later_version": 1,
}  # fmt: skip
JUDGED = {
    "status": "ok", "answer": "No", "confidence": 0.9, "melanoma": 0.03, "p_yes": 0.1, "prevalence": 0.12,
    "logprobs": {"yes": -2.4, "no": -0.2}, "answer_mass": 0.95, "model": MODEL,
}  # fmt: skip


@dataclass
class Graph:
    """A real orchestrator process over three fake services."""

    url: str
    classifier: FakeNode
    vlm: FakeNode
    fusion: FakeNode
    running: Running

    def assess(self) -> httpx2.Response:
        """One assessment; checks that it came inside the deadline, whatever it says."""
        started = time.monotonic()
        data = {"modality": "dermoscopy"}
        files = {"image": ("x.jpg", encode(lesion()))}
        answer = httpx2.post(f"{self.url}/v1/assessments", files=files, data=data, timeout=20, trust_env=False)
        assert time.monotonic() - started < DEADLINE_S + 1
        assert answer.status_code in (200, 422, 503), answer.text
        return answer


@contextmanager
def orchestrating(folder: Path, **settings: str) -> Iterator[Graph]:
    """The orchestrator with these settings, over fakes."""
    classifier, vlm, fusion = FakeNode(CLASSIFIED), FakeNode(JUDGED), FakeNode({})
    urls = {
        "MELALOG_CLASSIFIER_URL": classifier.url,
        "MELALOG_VLM_URL": vlm.url,
        "MELALOG_FUSION_URL": fusion.url,
    }
    with running(("orchestrator",), folder, {**urls, **settings}) as started:
        yield Graph(started.url, classifier, vlm, fusion, started)


@pytest.fixture(scope="module")
def orchestrator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    with orchestrating(tmp_path_factory.mktemp("chaos"), MELALOG_DEADLINE_S=str(DEADLINE_S)) as graph:
        yield graph


@pytest.fixture
def graph(orchestrator: Graph) -> Iterator[Graph]:
    """The graph with all nodes healthy but fusion, whose answer the orchestrator's own rules replace."""
    nodes = (orchestrator.classifier, orchestrator.vlm)
    for one in nodes:
        one.behave = one.healthy
    time.sleep(1.1)  # a tripped breaker lets its next probe through
    for _ in range(2):
        orchestrator.assess()
    for one in nodes:
        one.requests.clear()
    yield orchestrator
    for one in nodes:
        one.behave = one.healthy


FAILURES = {
    "frozen": (node.frozen, "timeout"),
    "drips": (node.drips, "timeout"),
    "hangs up": (node.hangs_up, "unavailable"),
    "500": (node.says(500, b'{"error": "secret stack trace"}'), "unavailable"),
    "503": (node.says(503, b"{}"), "unavailable"),
    "429": (node.says(429, b"{}"), "unavailable"),
    "garbage": (node.says(200, b"\x00\xff not json"), "invalid"),
    "html": (node.says(200, b"<html>gateway</html>", "text/html"), "invalid"),
    "wrong types": (node.says(200, b'{"status": "ok", "melanoma": "high"}'), "invalid"),
    "impossible": (node.says(200, b'{"status": "ok", "melanoma": 17}'), "invalid"),
    "nan": (node.says(200, b'{"status": "ok", "melanoma": NaN}'), "invalid"),
    "endless": (node.endless, "invalid"),
    "empty object": (node.says(200, b"{}"), "invalid"),
    "ok without a finding": (node.says(200, b'{"status": "ok", "prevalence": 0.1}'), "invalid"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_without_the_classifier_the_answer_is_degraded_and_never_low(graph: Graph, name: str) -> None:
    behaviour, status = FAILURES[name]
    graph.classifier.behave = behaviour
    body = graph.assess().json()
    finding = body["findings"]["classifier"]
    assert finding["status"] == status
    assert finding["melanoma"] is None
    assert finding["classes"] is None
    assert "classifier" in body["degraded"]
    assert body["risk"]["level"] != "low"
    assert "secret" not in str(body)


@pytest.mark.parametrize("name", FAILURES)
def test_without_the_vlm_the_answer_is_degraded(graph: Graph, name: str) -> None:
    behaviour, status = FAILURES[name]
    graph.vlm.behave = behaviour
    body = graph.assess().json()
    assert body["findings"]["vlm"]["status"] == status
    assert body["findings"]["vlm"]["answer"] is None
    assert "vlm" in body["degraded"]
    assert body["findings"]["classifier"]["status"] == "ok"


@pytest.mark.parametrize(
    "behaviour",
    [node.says(200, b"{}"), node.frozen, node.hangs_up, node.says(422, b"{}"), node.says(500, b"oh no")],
    ids=["garbage", "frozen", "closed", "422", "500"],
)
def test_fusion_down_means_the_same_rules_here(graph: Graph, behaviour: Behaviour) -> None:
    graph.fusion.behave = behaviour
    time.sleep(0.6)  # a breaker left open by an earlier test closes
    body = graph.assess().json()
    graph.fusion.behave = graph.fusion.healthy
    assert "fusion" in body["degraded"]
    assert (body["fusion"]["engine"], body["fusion"]["level_proposed"]) == ("rules", None)
    assert body["risk"]["level"] == "low"


@pytest.mark.parametrize(
    "behaviour", [node.frozen, node.hangs_up, node.says(200, b"?")], ids=["frozen", "closed", "garbage"]
)
def test_without_any_image_service_there_is_no_assessment(graph: Graph, behaviour: Behaviour) -> None:
    graph.classifier.behave = graph.vlm.behave = behaviour
    answer = graph.assess()
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


def test_a_picture_that_a_service_cannot_read_is_passed_on_as_422(graph: Graph) -> None:
    refusal = b'{"type":"about:blank","title":"x","status":422,"detail":"The picture is damaged.",'
    refusal += b'"errors":[{"field":"image","message":"damaged"}]}'
    graph.classifier.behave = node.says(422, refusal, "application/problem+json")
    graph.vlm.behave = node.frozen
    started = time.monotonic()
    answer = graph.assess()
    assert answer.status_code == 422
    assert answer.json()["detail"] == "The picture is damaged."
    assert time.monotonic() - started < 1.5, "the refusal waited for the other service"


def test_a_broken_connection_is_tried_once_more(graph: Graph) -> None:
    first = iter([node.hangs_up])

    def behave(handler: BaseHTTPRequestHandler) -> None:
        next(first, graph.classifier.healthy)(handler)

    graph.classifier.behave = behave
    body = graph.assess().json()
    assert body["findings"]["classifier"]["status"] == "ok"
    assert len(graph.classifier.requests) == 2


def test_deadline_request_id_and_trace_are_handed_down(graph: Graph) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = httpx2.post(
        f"{graph.url}/v1/assessments", files={"image": ("x.jpg", encode(lesion()))}, headers={"traceparent": trace}
    )
    for one in (graph.classifier, graph.vlm):
        sent = {key.lower(): value for key, value in one.requests[-1].items()}
        assert sent["x-request-id"] == answer.json()["id"]
        assert 0 < int(sent["x-melalog-deadline-ms"]) <= DEADLINE_S * 1000
        assert sent["traceparent"] == trace


def test_both_image_services_are_asked_at_the_same_time(graph: Graph) -> None:
    meeting = threading.Barrier(2, timeout=1.5)

    def meets(one: FakeNode) -> Behaviour:
        def behave(handler: object) -> None:
            meeting.wait()
            one.healthy(handler)  # type: ignore[arg-type]

        return behave

    graph.classifier.behave, graph.vlm.behave = meets(graph.classifier), meets(graph.vlm)
    body = graph.assess().json()
    assert body["findings"]["classifier"]["status"] == body["findings"]["vlm"]["status"] == "ok"


@pytest.mark.parametrize("how", ["dead", "frozen"])
def test_a_dependency_that_is_back_is_used_within_five_seconds(graph: Graph, how: str) -> None:
    if how == "dead":
        graph.classifier.die()
    else:
        graph.classifier.behave = node.frozen
    for _ in range(7):
        assert "classifier" in graph.assess().json()["degraded"]
    if how == "dead":
        graph.classifier.revive()
    graph.classifier.behave = graph.classifier.healthy
    back = time.monotonic()
    while "classifier" in graph.assess().json()["degraded"]:
        assert time.monotonic() - back < 5
        time.sleep(0.1)
    assert "Traceback" not in graph.running.output()


def test_a_busy_service_is_asked_again_at_once(graph: Graph) -> None:
    """Shedding is not failing: a flood at one service must not shut it out for everybody."""
    graph.classifier.behave = node.says(429, b"{}")
    for _ in range(7):
        assert "classifier" in graph.assess().json()["degraded"]
    graph.classifier.behave = graph.classifier.healthy
    assert "classifier" not in graph.assess().json()["degraded"]


def test_a_frozen_service_does_not_make_everybody_wait(graph: Graph) -> None:
    graph.vlm.behave = node.frozen
    took = []
    for _ in range(8):
        started = time.monotonic()
        graph.assess()
        took.append(time.monotonic() - started)
    assert min(took[5:]) < 0.5, took
