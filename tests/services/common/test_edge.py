"""The floor under every service: request id, body cap, problem+json, one log line. Driven as a server drives it."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Message

from services.common import body, errors, problems, telemetry
from services.common import edge as common
from services.common.problem_codes import CODES, OF_ERROR

CAP = 1000
SECRET = "patient-has-a-mole"  # noqa: S105  (a marker to look for, no password)


class Sent(BaseModel):
    age: int
    sex: str = "female"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    consumed: int
    """Body bytes read from the client until the end of the request."""
    before: int
    """Body bytes read before the problem was told."""

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status
        assert found["title"]
        assert found["type"] == f"/problems/{found['code']}"
        assert found["code"] in CODES
        assert found["request_id"] == self.headers["x-request-id"]
        return found


def service() -> FastAPI:
    app = common.create("test", "test")

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await body.read(request))

    @app.post("/json")
    async def typed(sent: Sent) -> int:
        return sent.age

    @app.get("/things/{name}")
    async def thing(name: str) -> str:
        return name

    @app.get("/raise/{what}")
    async def fail(what: str) -> None:
        raise {
            "bug": RuntimeError(SECRET),
            "time": TimeoutError(SECRET),
            "overloaded": errors.Overloaded("Too many.", retry_after_s=3),
            "blind": errors.NoPictureEvidence("Nothing."),
        }[what]

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def parts() -> Any:
            yield b"half"
            raise RuntimeError(SECRET)

        return StreamingResponse(parts())

    return app


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    before = structlog.get_config()
    telemetry.configure("test")
    yield
    structlog.configure(**before)
    telemetry._request_id.set("")  # noqa: SLF001


def ask(method: str, path: str, *chunks: bytes, **headers: str) -> Answer:
    """One request through the edge. As with a server, nothing more comes after the body until the client goes.

    The chunk b"GONE" is a client that goes.
    """
    sent: list[Message] = []
    left = [{"type": "http.request", "body": c, "more_body": i + 1 < len(chunks)} for i, c in enumerate(chunks)]
    left = left or [{"type": "http.request", "body": b"", "more_body": False}]
    consumed = before = 0

    async def receive() -> Message:
        nonlocal consumed
        if not left:
            await asyncio.Event().wait()
        message = left.pop(0)
        consumed += len(message["body"])
        return {"type": "http.disconnect"} if message["body"] == b"GONE" else message

    async def send(message: Message) -> None:
        nonlocal before
        sent.append(message)
        if message.get("body"):
            before = consumed

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 3000),
        "headers": [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()],
    }
    asyncio.run(common.Edge(service(), CAP)(scope, receive, send))
    start = next(message for message in sent if message["type"] == "http.response.start")
    found = {key.decode(): value.decode() for key, value in start["headers"]}
    assert len(found) == len(start["headers"]), "a header was sent twice"
    whole = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], found, whole, consumed, before)


def logs(capsys: pytest.CaptureFixture[str]) -> tuple[str, list[dict[str, Any]]]:
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out, [json.loads(line) for line in printed.out.splitlines()]


JSON = {"content_type": "application/json"}


def test_a_body_of_exactly_the_cap_is_read() -> None:
    answer = ask("POST", "/raw", b"x" * 600, b"x" * 400, content_length="1000")
    assert (answer.status, answer.body) == (200, b"1000")


@pytest.mark.parametrize("path", ["/raw", "/json"])
def test_reading_stops_at_the_cap(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says how long it is: it is refused one chunk past the cap, and little more is thrown away after that."""
    monkeypatch.setattr(common, "LINGER_BYTES", 5 * CAP)
    answer = ask("POST", path, *[b"x" * 100] * 1000, **JSON)
    assert answer.problem["status"] == 413
    assert CAP < answer.before <= CAP + 100
    assert answer.consumed <= 6 * CAP + 100
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/raw", "/json"])
def test_a_body_declared_too_large_is_refused_unread(path: str) -> None:
    answer = ask("POST", path, b"x" * 100, content_length="1001", **JSON)
    assert answer.problem["status"] == 413
    assert answer.before == 0


def test_a_client_that_never_sends_the_rest_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "LINGER_S", 0.2)
    started = time.perf_counter()
    assert ask("POST", "/raw", content_length="1001").problem["status"] == 413
    monkeypatch.setattr(common, "LINGER_S", 30)
    assert ask("POST", "/raw", b"x" * 2000).problem["status"] == 413, "the body was whole: nothing to wait for"
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("declared", ["²", "-1", "many", "", "0"])
def test_a_false_length_does_not_lift_the_cap(declared: str) -> None:
    assert ask("POST", "/raw", *[b"x" * 100] * 20, content_length=declared).problem["status"] == 413


def test_an_upload_that_ends_early_is_a_bad_request() -> None:
    assert ask("POST", "/raw", b"x" * 10, b"GONE").problem["status"] == 400


def test_a_callers_uuid_comes_back() -> None:
    mine = str(uuid4())
    assert ask("GET", "/things/a", x_request_id=mine).headers["x-request-id"] == mine
    assert ask("GET", "/nothing", x_request_id=mine).problem["request_id"] == mine


@pytest.mark.parametrize("theirs", ["", "1", "x" * 300, SECRET, "ÿ"])
def test_any_other_id_is_replaced(theirs: str) -> None:
    first, second = (ask("GET", "/nothing", x_request_id=theirs).problem["request_id"] for _ in range(2))
    assert first != second
    assert str(UUID(first)) == first


def test_a_bug_is_a_500_that_says_nothing_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask("GET", "/raise/bug")
    assert answer.problem["status"] == 500
    assert SECRET not in answer.body.decode()
    assert "RuntimeError" not in answer.body.decode()
    printed, lines = logs(capsys)
    assert SECRET not in printed
    assert "Traceback" not in printed
    assert [line["event"] for line in lines] == ["unexpected error", "answered"]
    assert lines[0]["error"] == "RuntimeError"
    assert "test_edge.py:" in lines[0]["where"]
    assert {line["request_id"] for line in lines} == {answer.headers["x-request-id"]}


def test_an_answer_broken_off_is_logged_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("GET", "/half").status == 200
    printed, lines = logs(capsys)
    assert SECRET not in printed
    assert [line["event"] for line in lines][-2:] == ["answer broken off", "answered"]


@pytest.mark.parametrize(
    ("what", "status", "retry_after"), [("time", 503, "1"), ("overloaded", 429, "3"), ("blind", 503, "1")]
)
def test_what_may_succeed_later_says_when(what: str, status: int, retry_after: str) -> None:
    answer = ask("GET", f"/raise/{what}")
    assert answer.problem["status"] == status
    assert answer.headers["retry-after"] == retry_after
    assert SECRET not in answer.body.decode()


def test_unknown_path_and_method() -> None:
    assert ask("GET", "/nothing").problem["status"] == 404
    answer = ask("DELETE", "/raw")
    assert answer.problem["status"] == 405
    assert answer.headers["allow"] == "POST"


def test_broken_json_is_400_and_a_wrong_field_422_that_does_not_quote_it() -> None:
    assert ask("POST", "/json", b"{", **JSON).problem["status"] == 400
    sent = json.dumps({"age": SECRET, "sex": [SECRET]}).encode()
    problem = ask("POST", "/json", sent, **JSON).problem
    assert problem["status"] == 422
    assert {error["field"] for error in problem["errors"]} == {"age", "sex"}
    assert SECRET not in json.dumps(problem)


def test_one_line_per_request_with_the_route_and_not_the_path(capsys: pytest.CaptureFixture[str]) -> None:
    ask("GET", f"/things/{SECRET}?name={SECRET}")
    printed, (line,) = logs(capsys)
    assert SECRET not in printed
    assert (line["method"], line["route"], line["status"]) == ("GET", "/things/{name}", 200)
    assert line["duration_ms"] >= 0
    ask("GET", f"/{SECRET}")
    printed, (line,) = logs(capsys)
    assert SECRET not in printed
    assert (line["route"], line["status"]) == ("unmatched", 404)


@pytest.mark.parametrize(("kind", "answers"), [("lifespan", []), ("websocket", [{"type": "websocket.close"}])])
def test_other_scopes_are_left_alone_or_refused(kind: str, answers: list[Message]) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": f"{kind}.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(common.Edge(service(), CAP)({"type": kind}, receive, send))
    assert sent == answers


def leaves(root: type[errors.MelalogError]) -> set[type[errors.MelalogError]]:
    children = root.__subclasses__()
    return {root} if not children else set().union(*map(leaves, children))


def test_every_error_has_a_status() -> None:
    assert leaves(errors.MelalogError) <= OF_ERROR.keys()
    assert OF_ERROR[errors.InvalidInput].status == 422


def test_field_names_from_outside_are_cut_and_encodable() -> None:
    fields = [errors.FieldError("\ud800" + "x" * 500, "wrong")] * 200
    found = json.loads(bytes(problems.response(CODES["invalid-input"], "no", fields).body))
    assert len(found["errors"]) == problems.MAX_FIELDS
    assert all(len(error["field"]) <= 100 for error in found["errors"])
