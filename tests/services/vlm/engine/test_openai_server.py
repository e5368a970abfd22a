import asyncio
import base64
import json
import math
import time

import pytest

from models.vlm.serving.scoring import UnusableDistribution, score
from services.vlm.engine.openai_server import OpenAIEngine
from services.vlm.engine.port import EngineFailure
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import Behaviour, OpenAIServer

TOP = [("Yes", -0.1), ("No", -2.5), ("The", -6.0)]
JPEG = b"\xff\xd8\xff not looked at here"
PATIENT_S, SHORT_S = 5.0, 0.4
SLACK_S = 3.0
"""Other work may keep this machine busy; a hang is far longer."""


def ask(server: OpenAIServer, within_s: float = PATIENT_S) -> list[tuple[str, float]]:
    async def run() -> list[tuple[str, float]]:
        engine = OpenAIEngine(server.base_url, "melalog-vlm")
        try:
            return await engine.first_token(JPEG, "Yes or No?", within_s)
        finally:
            await engine.close()

    return asyncio.run(run())


def test_the_distribution_comes_back_raw() -> None:
    with OpenAIServer(fake.verdict(TOP)) as server:
        assert ask(server) == TOP


def test_what_is_sent() -> None:
    with OpenAIServer(fake.verdict(TOP)) as server:
        ask(server)
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.body["model"] == "melalog-vlm"
    assert request.body["logprobs"] is True
    assert request.body["top_logprobs"] == 20
    assert request.body["max_tokens"] == 1
    assert request.body["temperature"] == 0
    (message,) = request.body["messages"]
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()}},
        {"type": "text", "text": "Yes or No?"},
    ]
    assert "http" not in json.dumps(request.body)


@pytest.mark.parametrize(("data", "kind"), [(JPEG, "jpeg"), (b"\x89PNG\r\n\x1a\n", "png")])
def test_a_picture_goes_as_what_it_is(data: bytes, kind: str) -> None:
    async def run(engine: OpenAIEngine) -> None:
        await engine.first_token(data, "?", PATIENT_S)
        await engine.close()

    with OpenAIServer(fake.verdict(TOP)) as server:
        asyncio.run(run(OpenAIEngine(server.base_url, "m")))
    url = server.requests[0].body["messages"][0]["content"][0]["image_url"]["url"]
    assert url == f"data:image/{kind};base64," + base64.b64encode(data).decode()


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_the_base_url_may_end_as_it_likes(slashes: str) -> None:
    async def run(base_url: str) -> None:
        engine = OpenAIEngine(base_url, "m")
        await engine.first_token(JPEG, "?", PATIENT_S)
        await engine.close()

    with OpenAIServer(fake.verdict(TOP)) as server:
        asyncio.run(run(server.base_url + slashes))
    assert server.requests[0].path == "/v1/chat/completions"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture must not leave by a proxy that was meant for something else."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with OpenAIServer(fake.verdict(TOP)) as server:
        assert ask(server) == TOP


def content(logprobs: object) -> Behaviour:
    return fake.answer({"choices": [{"index": 0, "logprobs": logprobs, "message": {"content": "Yes"}}]})


FAILURES: dict[str, tuple[Behaviour, str, str]] = {
    "logprobs dropped": (fake.text("Yes"), "invalid", "logprobs_missing"),
    "logprobs null": (content(None), "invalid", "logprobs_missing"),
    "logprobs content null": (content({"content": None}), "invalid", "logprobs_missing"),
    "logprobs content empty": (content({"content": []}), "invalid", "logprobs_missing"),
    "top_logprobs empty": (fake.verdict([]), "invalid", "logprobs_missing"),
    "top_logprobs left out": (content({"content": [{"token": "Yes", "logprob": 0}]}), "invalid", "logprobs_missing"),
    "logprob null": (
        content({"content": [{"top_logprobs": [{"token": "Yes", "logprob": None}]}]}),
        "invalid",
        "garbage",
    ),
    "token no string": (content({"content": [{"top_logprobs": [{"token": 9, "logprob": -1}]}]}), "invalid", "garbage"),
    "old completions' logprobs": (content({"tokens": ["Yes"], "token_logprobs": [-1]}), "invalid", "logprobs_missing"),
    "empty choices": (fake.answer({"choices": []}), "invalid", "garbage"),
    "no choices": (fake.answer({"object": "error", "message": "SECRET"}), "invalid", "garbage"),
    "a list": (fake.answer([1, 2]), "invalid", "garbage"),
    "null": (fake.answer(None), "invalid", "garbage"),
    "nothing": (fake.raw(b""), "invalid", "garbage"),
    "HTML with 200": (fake.raw(b"<html>Sign in</html>", content_type="text/html"), "invalid", "garbage"),
    "truncated JSON": (fake.raw(b'{"choices": [{"logprobs": {"con'), "invalid", "garbage"),
    "not UTF-8": (fake.raw(b'{"choices": "\xff\xfe"}'), "invalid", "garbage"),
    "nested deep": (fake.raw(b"[" * 100_000), "invalid", "garbage"),
    "not the gzip it says": (fake.raw(b"{}", content_encoding="gzip"), "invalid", "garbage"),
    "endless body": (fake.endless(), "invalid", "garbage"),
    "endless white space": (fake.endless(b" " * 65536), "invalid", "garbage"),
    "400": (fake.http_error(400), "invalid", "refused"),
    "422": (fake.http_error(422), "invalid", "refused"),
    "401": (fake.http_error(401), "unavailable", "unauthorized"),
    "403": (fake.http_error(403), "unavailable", "unauthorized"),
    "404": (fake.http_error(404), "unavailable", "model_not_found"),
    "429": (fake.http_error(429), "unavailable", "server_error"),
    "429 with Retry-After": (fake.http_error(429, retry_after="30"), "unavailable", "server_error"),
    "500": (fake.http_error(500), "unavailable", "server_error"),
    "500 without its body": (fake.raw(b"<html>", 500, content_length="1000000000"), "timeout", "timeout"),
    "500 endless": (fake.endless(status=500), "invalid", "garbage"),
    "503": (fake.http_error(503), "unavailable", "server_error"),
    "redirect": (fake.http_error(307, location="http://127.0.0.1:9/elsewhere"), "unavailable", "server_error"),
    "closed before answering": (fake.hang_up, "unavailable", "connection"),
    "closed mid-body": (fake.cut_mid_body, "unavailable", "connection"),
    "reset mid-body": (fake.reset_mid_body, "unavailable", "connection"),
    "slow headers": (fake.slow_headers, "timeout", "timeout"),
    "a byte a second": (fake.drip(), "timeout", "timeout"),
    "never answers": (fake.silent, "timeout", "timeout"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_misbehaviour_has_a_name_and_ends_in_time(name: str) -> None:
    behaviour, status, reason = FAILURES[name]
    within_s = SHORT_S if status == "timeout" else PATIENT_S
    with OpenAIServer(behaviour) as server:
        started = time.monotonic()
        with pytest.raises(EngineFailure) as failure:
            ask(server, within_s)
        assert time.monotonic() - started < within_s + SLACK_S
    assert (failure.value.status, failure.value.reason) == (status, reason)
    assert "SECRET" not in str(failure.value)


@pytest.mark.parametrize(
    "top",
    [
        [("Yes", 0.0), ("No", -9999.0), ("The", -9999.0)],
        [("Yes", math.nan), ("No", -1.0)],
        [("Yes", -math.inf), ("No", -0.1)],
        [("Yes", 3.5), ("No", 1.0)],
        [("Yes", -0.1), ("No", -0.1)],
    ],
    ids=["masked", "nan", "infinite", "positive", "over one"],
)
def test_odd_numbers_pass_the_engine_and_are_refused_by_scoring(top: list[tuple[str, float]]) -> None:
    with OpenAIServer(fake.verdict(top)) as server:
        listed = ask(server)
    assert [token for token, _ in listed] == [token for token, _ in top]
    with pytest.raises(UnusableDistribution):
        score(listed)


@pytest.mark.parametrize(
    "behaviour",
    [
        fake.verdict(TOP, stop_reason=None, prompt_logprobs={"a": [1]}),
        fake.raw(
            b" \n" + json.dumps({"choices": [{"logprobs": {"content": [{"top_logprobs": [
                {"token": token, "logprob": logprob, "id": 7} for token, logprob in TOP
            ]}]}}]}).encode() + b"\n\n",
            content_type="text/plain",
        ),
        fake.after(0.3, fake.verdict(TOP)),
    ],
    ids=["extra fields", "padded, and said to be text", "late but in time"],
)  # fmt: skip
def test_what_is_odd_but_usable_is_used(behaviour: Behaviour) -> None:
    with OpenAIServer(behaviour) as server:
        assert ask(server) == TOP


@pytest.mark.parametrize("first", [fake.http_error(503), fake.hang_up, fake.cut_mid_body, fake.endless(), fake.silent])
def test_the_next_request_after_a_failure_succeeds(first: Behaviour) -> None:
    async def run(server: OpenAIServer) -> list[tuple[str, float]]:
        engine = OpenAIEngine(server.base_url, "m", max_in_flight=1)
        with pytest.raises(EngineFailure):
            await engine.first_token(JPEG, "?", 0.5)
        try:
            return await engine.first_token(JPEG, "?", PATIENT_S)
        finally:
            await engine.close()

    with OpenAIServer(first, fake.verdict(TOP)) as server:
        assert asyncio.run(run(server)) == TOP


def test_a_failure_is_not_asked_again() -> None:
    with OpenAIServer(fake.http_error(500)) as server, pytest.raises(EngineFailure):
        ask(server)
    assert len(server.requests) == 1


def test_an_engine_that_closed_an_idle_connection_is_asked_on_a_new_one() -> None:
    def answer_and_close(exchange: fake.Exchange) -> None:
        fake.verdict(TOP)(exchange)
        exchange.close_connection = True

    async def run(server: OpenAIServer) -> None:
        engine = OpenAIEngine(server.base_url, "m")
        for _ in range(3):
            assert await engine.first_token(JPEG, "?", PATIENT_S) == TOP
            await asyncio.sleep(0.2)
        await engine.close()

    with OpenAIServer(answer_and_close) as server:
        asyncio.run(run(server))


def test_nothing_listens() -> None:
    with OpenAIServer(fake.silent) as server:
        pass
    started = time.monotonic()
    with pytest.raises(EngineFailure) as failure:
        ask(server)
    assert (failure.value.status, failure.value.reason) == ("unavailable", "connection")
    assert time.monotonic() - started < SLACK_S


def test_no_time_left_is_a_timeout_at_once() -> None:
    with OpenAIServer(fake.verdict(TOP)) as server, pytest.raises(EngineFailure) as failure:
        ask(server, within_s=0.0)
    assert failure.value.status == "timeout"


def test_waiting_for_a_free_connection_counts_towards_the_deadline() -> None:
    async def run(server: OpenAIServer) -> list[BaseException | list[tuple[str, float]]]:
        engine = OpenAIEngine(server.base_url, "m", max_in_flight=1)
        calls = [engine.first_token(JPEG, "?", within_s) for within_s in (3 * SHORT_S, SHORT_S, SHORT_S)]
        try:
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await engine.close()

    started = time.monotonic()
    with OpenAIServer(fake.silent) as server:
        results = asyncio.run(run(server))
    assert [result.status for result in results if isinstance(result, EngineFailure)] == ["timeout"] * 3
    assert time.monotonic() - started < 3 * SHORT_S + SLACK_S
    assert len(server.requests) == 1
