import asyncio
import json
import time

import pytest

from fusion import hosted, questionnaire, rules
from fusion.hosted import HostedFailure, OpenAIExplainer
from fusion.prompt import HostedAnswer, messages
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import Behaviour, OpenAIServer

DECISION = rules.decide(rules.Case(questionnaire.load().parse({"fair_skin": "yes"})), questionnaire.load(), prior=0.025)
GOOD = {"level": "low", "explanation": "Without a picture to judge, your answers weighed most in this result."}
GOOD_TEXT = fake.text(json.dumps(GOOD))
PATIENT_S, SHORT_S, SLACK_S = 5.0, 0.4, 3.0


def explain(server: OpenAIServer, within_s: float = PATIENT_S, key: str = "a-key") -> HostedAnswer:
    async def run() -> HostedAnswer:
        explainer = OpenAIExplainer(server.base_url, key, "meta-llama/Llama-3.3-70B-Instruct")
        try:
            return await explainer.explain(DECISION, within_s)
        finally:
            await explainer.close()

    return asyncio.run(run())


def failure(server: OpenAIServer, within_s: float = PATIENT_S) -> str:
    started = time.monotonic()
    with pytest.raises(HostedFailure) as failed:
        explain(server, within_s)
    assert time.monotonic() - started < within_s + SLACK_S
    assert str(failed.value) == failed.value.reason, "no upstream text"
    return failed.value.reason


def test_a_good_answer_takes_one_request() -> None:
    with OpenAIServer(GOOD_TEXT) as server:
        assert explain(server).model_dump() == GOOD
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer a-key"
    assert request.body["model"] == "meta-llama/Llama-3.3-70B-Instruct"
    assert request.body["messages"] == messages(DECISION)
    assert request.body["max_tokens"] == hosted.MAX_TOKENS
    assert request.body["response_format"] == {"type": "json_object"}
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
        assert explain(server).model_dump() == GOOD
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
    "finish_reason length": (fake.text(json.dumps(GOOD), "length"), "unusable_answer"),
    "400": (fake.http_error(400), "refused"),
    "422": (fake.http_error(422), "refused"),
    "401": (fake.http_error(401), "unauthorized"),
    "403": (fake.http_error(403), "unauthorized"),
    "404 model not found": (fake.http_error(404), "model_not_found"),
    "410": (fake.http_error(410), "refused"),
    "429": (fake.http_error(429), "rate_limited"),
    "429 with Retry-After": (fake.http_error(429, retry_after="1", x_should_retry="true"), "rate_limited"),
    "500": (fake.http_error(500), "server_error"),
    "503": (fake.http_error(503, retry_after="1", x_should_retry="true"), "server_error"),
    "503 in HTML": (fake.raw(b"<html>busy</html>", 503, content_type="text/html"), "server_error"),
    "redirect": (fake.http_error(307, location="/v1/chat/completions"), "refused"),
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


UNUSABLE: dict[str, Behaviour] = {
    "refusal": fake.text(None, refusal="I cannot help with that."),
    "content filter": fake.text("", "content_filter"),
    "prose": fake.text("I am only a language model and cannot judge this."),
    "wrong enum": fake.text(json.dumps({**GOOD, "level": "medium"})),
    "missing field": fake.text('{"level": "low"}'),
    "cut JSON": fake.text(json.dumps(GOOD)[:-20]),
    "reassurance": fake.text(json.dumps({**GOOD, "explanation": "The spot is harmless, nothing needs to be done."})),
    "invented number": fake.text(json.dumps({**GOOD, "explanation": "The chance is 97 %, going by the answers."})),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_exactly_one_repair_is_asked_for(name: str) -> None:
    with OpenAIServer(UNUSABLE[name]) as server:
        assert failure(server) == "unusable_answer"
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_repaired_answer_is_used(name: str) -> None:
    with OpenAIServer(UNUSABLE[name], GOOD_TEXT) as server:
        assert explain(server).model_dump() == GOOD
    first, second = (request.body["messages"] for request in server.requests)
    assert second[: len(first)] == first
    assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]


def test_a_repair_quotes_no_more_than_needed() -> None:
    with OpenAIServer(fake.text("prose " * 10_000), GOOD_TEXT) as server:
        explain(server)
    assert len(json.dumps(server.requests[1].body)) < 6000


def test_no_repair_with_less_than_two_seconds_left() -> None:
    with OpenAIServer(UNUSABLE["prose"], GOOD_TEXT) as server:
        assert failure(server, hosted.REPAIR_NEEDS_S - 0.1) == "unusable_answer"
    assert len(server.requests) == 1


def test_a_slow_first_answer_uses_up_the_time_for_a_repair() -> None:
    with OpenAIServer(fake.after(0.4, UNUSABLE["prose"]), GOOD_TEXT) as server:
        assert failure(server, hosted.REPAIR_NEEDS_S + 0.3) == "unusable_answer"
    assert len(server.requests) == 1


def test_the_repair_has_no_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "REPAIR_NEEDS_S", 0.2)
    with OpenAIServer(UNUSABLE["prose"], fake.silent) as server:
        assert failure(server, 1.2) == "timeout"
    assert len(server.requests) == 2


def test_a_failing_repair_is_named_for_what_it_was() -> None:
    with OpenAIServer(UNUSABLE["prose"], fake.http_error(429)) as server:
        assert failure(server) == "rate_limited"
    assert len(server.requests) == 2


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
            await explainer.explain(DECISION, 1.0)
        try:
            return await explainer.explain(DECISION, PATIENT_S)
        finally:
            await explainer.close()

    with OpenAIServer(first, GOOD_TEXT) as server:
        assert asyncio.run(run(server)).model_dump() == GOOD
