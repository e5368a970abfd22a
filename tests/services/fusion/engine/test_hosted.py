import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from fusion import prompt
from fusion.bounds import HostedAnswer
from fusion.prompt import messages
from services.fusion.engine import completion, hosted
from services.fusion.engine.hosted import HostedFailure, OpenAIExplainer
from tests.fakes import openai_server as fake
from tests.fakes.briefings import answered, briefing
from tests.fakes.openai_server import Behaviour, OpenAIServer

CASE = briefing()
GOOD = answered(level="low", questions_for_doctor=["How soon should this spot be seen?"])
GOOD_TEXT = fake.text(json.dumps(GOOD))
PATIENT_S, SHORT_S, SLACK_S = 5.0, 0.4, 3.0
NO_ROOM_S = hosted.RETRY_NEEDS_S - 0.1
"""Time for one request, and none for a second."""


class Tally:
    """A meter that can be read."""

    def __init__(self) -> None:
        self.tokens, self.rules = Counter[str](), Counter[str]()

    def spent(self, prompt_tokens: int, completion_tokens: int) -> None:
        self.tokens.update(prompt=prompt_tokens, completion=completion_tokens)

    def refused(self, rule: str) -> None:
        self.rules[rule] += 1


def explain(
    server: OpenAIServer | str, within_s: float = PATIENT_S, key: str = "a-key", **options: Any
) -> HostedAnswer:
    async def run() -> HostedAnswer:
        url = server if isinstance(server, str) else server.base_url
        explainer = OpenAIExplainer(url, key, "meta-llama/Llama-3.3-70B-Instruct", **options)
        try:
            return await explainer.explain(CASE, within_s)
        finally:
            await explainer.close()

    return asyncio.run(run())


def test_a_trace_is_told_only_where_it_is_wanted() -> None:
    with OpenAIServer(GOOD_TEXT) as server:
        explain(server)
        explain(server, headers=lambda: {"traceparent": "00-a-b-01"})
        assert [request.headers.get("traceparent") for request in server.requests] == [None, "00-a-b-01"]


def failure(server: OpenAIServer | str, within_s: float = PATIENT_S, **options: Any) -> str:
    started = time.monotonic()
    with pytest.raises(HostedFailure) as failed:
        explain(server, within_s, **options)
    assert time.monotonic() - started < within_s + SLACK_S
    assert str(failed.value) == failed.value.reason, "no upstream text"
    assert failed.value.reason in hosted.REASONS
    return failed.value.reason


def formats(server: OpenAIServer) -> list[str]:
    return [request.body.get("response_format", {}).get("type", "none") for request in server.requests]


def test_a_good_answer_takes_one_request() -> None:
    with OpenAIServer(GOOD_TEXT) as server:
        assert explain(server).model_dump(mode="json") == GOOD
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer a-key"
    assert request.body["model"] == "meta-llama/Llama-3.3-70B-Instruct"
    assert request.body["messages"] == messages(CASE)
    assert request.body["max_tokens"] == completion.MAX_TOKENS
    asked = request.body["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"] == prompt.schema(list(CASE.reasons))
    assert asked["json_schema"]["name"] == "melalog_" + prompt.VERSION.replace("-", "_")
    assert not request.body.get("stream")


@pytest.mark.parametrize("key", ["a-key\n", " a-key", "a-key\r\n"])
def test_a_key_read_from_a_file_may_end_in_a_newline(key: str) -> None:
    with OpenAIServer(GOOD_TEXT) as server:
        explain(server, key=key)
    assert server.requests[0].headers["authorization"] == "Bearer a-key"


@pytest.mark.parametrize(
    "content",
    [
        f"```json\n{json.dumps(GOOD)}\n```",
        f"\n\n   {json.dumps(GOOD, indent=2)}   \n",
        json.dumps({**GOOD, "probability": 0.001, "override": True}),
    ],
    ids=["fenced", "padded", "extra fields"],
)
def test_wrapped_answers_need_no_repair(content: str) -> None:
    with OpenAIServer(fake.text(content, refusal=None, annotations=[])) as server:
        assert explain(server).model_dump(mode="json") == GOOD
    assert len(server.requests) == 1


FAILURES: dict[str, tuple[Behaviour, str]] = {
    "HTML with 200": (fake.raw(b"<html>Sign in</html>", content_type="text/html"), "garbage"),
    "HTML said to be JSON": (fake.raw(b"<html>Sign in</html>"), "garbage"),
    "said to be text": (fake.raw(b'{"choices": []}', content_type="text/plain"), "garbage"),
    "truncated JSON": (fake.raw(b'{"choices": [{"mess'), "garbage"),
    "nothing": (fake.raw(b""), "garbage"),
    "null": (fake.answer(None), "garbage"),
    "a list": (fake.answer([1, 2]), "garbage"),
    "a number": (fake.raw(b"NaN"), "garbage"),
    "not UTF-8": (fake.raw(b'{"choices": "\xff\xfe"}'), "garbage"),
    "nested deep": (fake.raw(b"[" * 50_000), "garbage"),
    "no choices": (fake.answer({"error": "SECRET"}), "garbage"),
    "choices null": (fake.answer({"choices": None}), "garbage"),
    "empty choices": (fake.answer({"choices": []}), "garbage"),
    "choices of another kind": (fake.answer({"choices": ["yes"]}), "garbage"),
    "message null": (fake.answer({"choices": [{"finish_reason": "stop", "message": None}]}), "garbage"),
    "content a list": (fake.text([{"type": "text", "text": "no"}]), "garbage"),
    "content a number": (fake.text(7), "garbage"),
    # Named before the deadline, so it was not read to the deadline: else it would fill the memory first.
    "endless body": (fake.endless(), "garbage"),
    "endless white space": (fake.endless(b" " * 65536), "garbage"),
    "endless error": (fake.endless(status=500), "garbage"),
    "401": (fake.http_error(401), "unauthorized"),
    "403": (fake.http_error(403), "unauthorized"),
    "404 model not found": (fake.http_error(404), "model_not_found"),
    "410": (fake.http_error(410), "rejected"),
    "429, come back after the deadline": (
        fake.http_error(429, retry_after="60", x_should_retry="true"),
        "rate_limited",
    ),
    "429, come back on another day": (
        fake.http_error(429, retry_after="Wed, 21 Oct 2099 07:28:00 GMT"),
        "rate_limited",
    ),
    "429, quota used up": (
        fake.http_error(429, {"error": {"message": "SECRET", "code": "insufficient_quota"}}, retry_after="0"),
        "quota",
    ),
    "503, come back after the deadline": (fake.http_error(503, retry_after="60"), "server_error"),
    "redirect": (fake.http_error(307, location="/v1/chat/completions"), "rejected"),
    "closed before answering": (fake.hang_up, "connection"),
    "closed mid-body": (fake.cut_mid_body, "connection"),
    "reset mid-body": (fake.reset_mid_body, "connection"),
    "slow headers": (fake.slow_headers, "timeout"),
    "a byte a second": (fake.drip(), "timeout"),
    "never answers": (fake.silent, "timeout"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_misbehaviour_has_a_name_ends_in_time_and_is_one_request(name: str) -> None:
    """Time for a repair is left wherever time is not the point: one request means that none was thought worth it."""
    behaviour, reason = FAILURES[name]
    with OpenAIServer(behaviour) as server:
        assert failure(server, SHORT_S if reason == "timeout" else PATIENT_S) == reason
        assert len(server.requests) == 1


def gone_wrong(**changed: object) -> Behaviour:
    return fake.text(json.dumps({**GOOD, **changed}))


UNUSABLE: dict[str, tuple[Behaviour, str]] = {
    "refusal": (fake.text(None, refusal="I cannot help with that."), "refusal"),
    "content filter": (fake.text("", "content_filter"), "refusal"),
    "a refusal in prose": (fake.text("I am only a language model and cannot judge this."), "schema"),
    "cut off": (fake.text(json.dumps(GOOD)[:-20], "length"), "truncated"),
    "cut off and complete all the same": (fake.text(json.dumps(GOOD), "length"), "truncated"),
    "cut off without saying so": (fake.text(json.dumps(GOOD)[:-20]), "schema"),
    "white space to the end": (fake.text(" \n" * 20_000, "length"), "truncated"),
    "white space, then it stops": (fake.text(" \n" * 20_000), "schema"),
    "white space in an object": (fake.text('{"level":' + "\t" * 20_000), "schema"),
    "nothing": (fake.text(""), "schema"),
    "wrong enum": (gone_wrong(level="medium"), "schema"),
    "missing field": (fake.text('{"level": "low"}'), "schema"),
    "too long": (gone_wrong(explanation="The picture weighed most. " * 60), "schema"),
    "too many questions": (gone_wrong(questions_for_doctor=["How soon should it be seen?"] * 4), "schema"),
    "invented id": (gone_wrong(key_reasons=["floor.invented"]), "invented_id"),
    "reassurance": (gone_wrong(explanation="The spot is harmless, nothing needs to be done."), "reassures"),
    "lowered risk in words": (gone_wrong(explanation="The risk is low by the picture and the answers."), "contradicts"),
    "invented number": (gone_wrong(explanation="The chance is 97 %, going by the answers."), "number"),
    "another's number": (gone_wrong(explanation="The chance of melanoma is 6 %, going by the picture."), "number"),
    "diagnosis": (gone_wrong(explanation="You have melanoma, going by the picture and the answers."), "diagnoses"),
    "treatment in a question": (gone_wrong(questions_for_doctor=["Would a cortisone cream help it?"]), "treats"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_exactly_one_repair_is_asked_for(name: str) -> None:
    behaviour, rule = UNUSABLE[name]
    tally = Tally()
    with OpenAIServer(behaviour) as server:
        assert failure(server, meter=tally) == ("refusal" if rule == "refusal" else "unusable_answer")
    assert len(server.requests) == 2
    assert tally.rules == {rule: 2}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_repaired_answer_is_used(name: str) -> None:
    with OpenAIServer(UNUSABLE[name][0], GOOD_TEXT) as server:
        assert explain(server).model_dump(mode="json") == GOOD
    first, second = (request.body["messages"] for request in server.requests)
    assert second[: len(first)] == first
    assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]


def test_a_repair_quotes_no_more_than_needed() -> None:
    with OpenAIServer(fake.text("prose " * 10_000), GOOD_TEXT) as server:
        explain(server)
    first, second = (len(json.dumps(request.body)) for request in server.requests)
    assert second - first < 3000


def test_the_level_of_an_answer_that_was_refused_is_still_told() -> None:
    wrong = gone_wrong(level="high", explanation="The spot is harmless in the picture.")
    with OpenAIServer(wrong) as server, pytest.raises(HostedFailure) as failed:
        explain(server)
    assert failed.value.proposed == "high"


def test_no_repair_with_less_than_two_seconds_left() -> None:
    with OpenAIServer(UNUSABLE["nothing"][0], GOOD_TEXT) as server:
        assert failure(server, NO_ROOM_S) == "unusable_answer"
    assert len(server.requests) == 1


def test_a_slow_first_answer_uses_up_the_time_for_a_repair() -> None:
    with OpenAIServer(fake.after(0.4, UNUSABLE["nothing"][0]), GOOD_TEXT) as server:
        assert failure(server, hosted.RETRY_NEEDS_S + 0.3) == "unusable_answer"
    assert len(server.requests) == 1


def test_the_repair_has_no_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "RETRY_NEEDS_S", 0.2)
    with OpenAIServer(UNUSABLE["nothing"][0], fake.silent) as server:
        assert failure(server, 1.2) == "timeout"
    assert len(server.requests) == 2


def test_a_failing_repair_is_named_for_what_it_was() -> None:
    with OpenAIServer(UNUSABLE["nothing"][0], fake.http_error(401)) as server:
        assert failure(server) == "unauthorized"
    assert len(server.requests) == 2


BUSY: dict[str, tuple[Behaviour, str]] = {
    "429": (fake.http_error(429), "rate_limited"),
    "429 with Retry-After": (fake.http_error(429, retry_after="0.2"), "rate_limited"),
    "429 with a date": (
        fake.http_error(429, retry_after=format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)),
        "rate_limited",
    ),
    "429 with an unreadable Retry-After": (fake.http_error(429, retry_after="soon"), "rate_limited"),
    "429 with an impossible Retry-After": (fake.http_error(429, retry_after="nan"), "rate_limited"),
    "429 with a past Retry-After": (fake.http_error(429, retry_after="-7"), "rate_limited"),
    "500": (fake.http_error(500), "server_error"),
    "502 in HTML": (fake.raw(b"<html>busy</html>", 502, content_type="text/html"), "server_error"),
    "503 with Retry-After": (fake.http_error(503, retry_after="0", x_should_retry="false"), "server_error"),
    "504": (fake.http_error(504), "server_error"),
}


@pytest.mark.parametrize("name", BUSY)
def test_a_busy_server_is_asked_once_more(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "DEFAULT_WAIT_S", 0.1)
    monkeypatch.setattr(completion, "JITTER_S", 0.05)
    behaviour, reason = BUSY[name]
    with OpenAIServer(behaviour, GOOD_TEXT) as server:
        assert explain(server).model_dump(mode="json") == GOOD
        assert len(server.requests) == 2
    with OpenAIServer(behaviour) as server:
        assert failure(server) == reason
        assert len(server.requests) == 2, "once"


@pytest.mark.parametrize("name", BUSY)
def test_a_busy_server_is_left_alone_when_time_is_short(name: str) -> None:
    behaviour, reason = BUSY[name]
    with OpenAIServer(behaviour, GOOD_TEXT) as server:
        assert failure(server, NO_ROOM_S) == reason
    assert len(server.requests) == 1


def test_a_retry_comes_not_before_it_was_asked_for() -> None:
    started = time.monotonic()
    with OpenAIServer(fake.http_error(429, retry_after="1"), GOOD_TEXT) as server:
        explain(server)
    assert time.monotonic() - started >= 1.0
    assert len(server.requests) == 2


def test_three_requests_are_the_most_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "JITTER_S", 0.0)
    busy = fake.http_error(503, retry_after="0")
    with OpenAIServer(busy, UNUSABLE["nothing"][0], busy, GOOD_TEXT) as server:
        assert failure(server) == "server_error"
    assert len(server.requests) == hosted.MAX_REQUESTS == 3


@pytest.mark.parametrize("status", [400, 422])
def test_a_format_that_is_refused_is_given_up_for_the_next_and_that_is_remembered(status: int) -> None:
    refused = fake.http_error(status)

    async def run(server: OpenAIServer) -> None:
        explainer = OpenAIExplainer(server.base_url, "a-key", "m")
        for _ in range(2):
            assert (await explainer.explain(CASE, PATIENT_S)).model_dump(mode="json") == GOOD
        await explainer.close()

    with OpenAIServer(refused, GOOD_TEXT) as server:
        asyncio.run(run(server))
    assert formats(server) == ["json_schema", "json_object", "json_object"]
    with OpenAIServer(refused, refused, GOOD_TEXT) as server:
        asyncio.run(run(server))
    assert formats(server) == ["json_schema", "json_object", "none", "none"]
    schema = json.dumps(prompt.schema(list(CASE.reasons)))
    assert all(schema in request.body["messages"][0]["content"] for request in server.requests)


def test_one_accidental_400_does_not_give_a_format_up_for_good() -> None:
    now = [0.0]

    async def run(server: OpenAIServer) -> None:
        explainer = OpenAIExplainer(server.base_url, "a-key", "m", clock=lambda: now[0])
        for seconds in (0.0, hosted.FORMAT_MEMORY_S - 1, hosted.FORMAT_MEMORY_S + 1):
            now[0] = seconds
            await explainer.explain(CASE, PATIENT_S)
        await explainer.close()

    with OpenAIServer(fake.http_error(400), GOOD_TEXT) as server:
        asyncio.run(run(server))
    assert formats(server) == ["json_schema", "json_object", "json_object", "json_schema"]


def test_a_server_that_refuses_everything_teaches_nothing() -> None:
    async def run(server: OpenAIServer) -> None:
        explainer = OpenAIExplainer(server.base_url, "a-key", "m")
        with pytest.raises(HostedFailure, match="rejected"):
            await explainer.explain(CASE, PATIENT_S)
        assert (await explainer.explain(CASE, PATIENT_S)).model_dump(mode="json") == GOOD
        await explainer.close()

    refused = fake.http_error(400)
    with OpenAIServer(refused, refused, refused, GOOD_TEXT) as server:
        asyncio.run(run(server))
    assert formats(server) == ["json_schema", "json_object", "none", "json_schema"]


@pytest.mark.parametrize("form", completion.FORMATS)
def test_a_format_that_is_set_is_the_only_one_tried(form: str) -> None:
    with OpenAIServer(fake.http_error(400)) as server:
        assert failure(server, response_format=form) == "rejected"
    assert formats(server) == [form]


def test_no_other_format_is_tried_when_time_is_short() -> None:
    with OpenAIServer(fake.http_error(400), GOOD_TEXT) as server:
        assert failure(server, NO_ROOM_S) == "rejected"
    assert len(server.requests) == 1


def with_usage(usage: object) -> Behaviour:
    message = {"role": "assistant", "content": json.dumps(GOOD)}
    return fake.answer({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 800, "completion_tokens": 90, "total_tokens": 890}, {"prompt": 800, "completion": 90}),
        (None, {"prompt": 0, "completion": 0}),
        ({"prompt_tokens": -5, "completion_tokens": "many"}, {"prompt": 0, "completion": 0}),
        ({"prompt_tokens": 10**30, "completion_tokens": True}, {"prompt": 0, "completion": 0}),
        ("none", {"prompt": 0, "completion": 0}),
    ],
)
def test_tokens_are_counted_where_the_server_tells_them(usage: object, tokens: dict[str, int]) -> None:
    tally = Tally()
    with OpenAIServer(with_usage(usage)) as server:
        assert explain(server, meter=tally).model_dump(mode="json") == GOOD
    assert tally.tokens == tokens
    assert tally.rules == {}


@contextmanager
def unreachable() -> Iterator[str]:
    """A port whose queue of connections is full: the next one gets no answer, as from a host behind a wall."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        time.sleep(0.1)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for one in waiting:
            one.close()


def test_a_host_that_takes_no_connection_is_given_up_before_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "CONNECT_S", 0.3)
    started = time.monotonic()
    with unreachable() as url:
        assert failure(url) == "connect_timeout"
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("within_s", [0.0, -0.25])
def test_no_time_left_is_a_timeout_and_sends_nothing(within_s: float) -> None:
    with OpenAIServer(GOOD_TEXT) as server:
        assert failure(server, within_s) == "timeout"
    assert server.requests == []


def test_nothing_listens() -> None:
    with OpenAIServer(fake.silent) as server:
        pass
    assert failure(server) == "connection"


@pytest.mark.parametrize("first", [fake.http_error(503), fake.hang_up, fake.endless(), fake.silent])
def test_the_next_explanation_after_a_failure_succeeds(first: Behaviour) -> None:
    async def run(server: OpenAIServer) -> HostedAnswer:
        explainer = OpenAIExplainer(server.base_url, "a-key", "m")
        with pytest.raises(HostedFailure):
            await explainer.explain(CASE, 1.0)
        try:
            return await explainer.explain(CASE, PATIENT_S)
        finally:
            await explainer.close()

    with OpenAIServer(first, GOOD_TEXT) as server:
        assert asyncio.run(run(server)).model_dump(mode="json") == GOOD
