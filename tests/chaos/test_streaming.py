"""What a stream tells when services are slow or down, and what becomes of the work when its reader leaves."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import httpx2
import pytest

from services.contracts import Assessment
from tests.chaos.test_dependencies import Graph, orchestrating
from tests.fakes import node
from tests.pictures import encode, lesion
from tests.sse import Event, events

DEADLINE_S = 6.0
STREAM = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def orchestrator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    settings = {"MELALOG_DEADLINE_S": str(DEADLINE_S), "MELALOG_MAX_IN_FLIGHT": "1"}
    with orchestrating(tmp_path_factory.mktemp("stream"), **settings) as graph:
        yield graph


@pytest.fixture
def graph(orchestrator: Graph) -> Iterator[Graph]:
    yield orchestrator
    for one in (orchestrator.classifier, orchestrator.vlm):
        one.behave = one.healthy


@contextmanager
def streaming(graph: Graph, image: bytes = b"") -> Iterator[httpx2.Response]:
    """An assessment being streamed; leaving the block closes its connection."""
    with (
        httpx2.Client(timeout=20, trust_env=False) as client,
        client.stream(
            "POST",
            f"{graph.url}/v1/assessments",
            files={"image": ("x.jpg", image or encode(lesion()))},
            data={"modality": "dermoscopy"},
            headers=STREAM,
        ) as answer,
    ):
        yield answer


def status(graph: Graph) -> int:
    files = {"image": ("x.jpg", encode(lesion()))}
    return httpx2.post(f"{graph.url}/v1/assessments", files=files, timeout=20, trust_env=False).status_code


def told(graph: Graph) -> list[Event]:
    with streaming(graph) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [event for event in events(answer) if event.event]


def test_findings_come_one_by_one_and_are_those_of_the_answer(graph: Graph) -> None:
    *findings, last = told(graph)
    assert last.event == "assessment"
    answer = Assessment.model_validate(last.data)
    assert answer.degraded == ("fusion",)
    assert {event.event for event in findings} == {"finding"}
    merged = {name: value for event in findings for name, value in event.data.items()}
    assert merged == last.data["findings"]
    assert len(findings) == len(merged) == 4


def test_a_finding_does_not_wait_for_the_slower_service(graph: Graph) -> None:
    free = threading.Event()

    def waits(handler: BaseHTTPRequestHandler) -> None:
        free.wait(10)
        graph.vlm.healthy(handler)

    graph.vlm.behave = waits
    with streaming(graph) as answer:
        come = events(answer)
        assert list(next(come).data) == ["classifier"]
        assert list(next(come).data) == ["picture"]
        assert next(come) == Event("", "working"), "a heartbeat while there is nothing else to say"
        free.set()
        assert [event.event for event in come if event.event] == ["finding", "finding", "assessment"]


def test_what_failed_is_a_finding_too_and_the_deadline_holds(graph: Graph) -> None:
    graph.vlm.behave = node.frozen
    started = time.monotonic()
    come = told(graph)
    assert time.monotonic() - started < DEADLINE_S + 2
    assert next(event.data["vlm"]["status"] for event in come if "vlm" in event.data) == "timeout"
    assert come[-1].data["degraded"] == ["vlm", "fusion"]


def test_what_ends_an_assessment_is_a_problem_event(graph: Graph) -> None:
    graph.classifier.behave = graph.vlm.behave = node.says(500, b"secret stack trace")
    *_, last = told(graph)
    assert (last.event, last.data["status"], last.data["retry_after"]) == ("problem", 503, 2)
    assert "secret" not in str(last)
    refusal = b'{"detail":"The picture is damaged.","errors":[{"field":"image","message":"damaged"}]}'
    graph.classifier.behave = node.says(422, refusal, "application/problem+json")
    *_, last = told(graph)
    assert (last.event, last.data["status"], last.data["detail"]) == ("problem", 422, "The picture is damaged.")
    assert last.data["request_id"]


def test_what_is_wrong_from_the_start_has_its_own_status(graph: Graph) -> None:
    with streaming(graph, b"no picture at all") as answer:
        assert answer.status_code == 415
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_client_that_leaves_cancels_the_work_and_gives_its_place_back(graph: Graph) -> None:
    reached, dropped = threading.Event(), threading.Event()

    def watches(handler: BaseHTTPRequestHandler) -> None:
        reached.set()
        handler.connection.settimeout(DEADLINE_S)
        if handler.connection.recv(1) == b"":
            dropped.set()

    graph.classifier.behave = watches
    with streaming(graph) as answer:
        come = events(answer)  # kept: dropped, it would close the connection
        assert list(next(come).data) == ["vlm"]
        assert reached.wait(2)
        assert status(graph) == 429, "the only place is taken while the client stays"
        assert not dropped.is_set()
    assert dropped.wait(2), "the request to the classifier went on without a reader"
    graph.classifier.behave = graph.classifier.healthy
    assert status(graph) == 200
    assert "Traceback" not in graph.running.output()
