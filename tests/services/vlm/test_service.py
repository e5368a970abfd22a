import asyncio
import importlib
import math
import time
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from models.vlm.serving.artifact import RELEASED
from services.common.edge import Edge
from services.common.settings import Settings
from services.vlm import core as verdict
from services.vlm.core import Verdicts
from services.vlm.engine import factory
from services.vlm.engine.openai_server import OpenAIEngine
from services.vlm.engine.port import VisionEngine
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import OpenAIServer
from tests.pictures import encode, lesion

CAP = 500_000
REQUEST_ID = "0b0e7f1c-6f1a-4a64-9d5e-1f2d3c4b5a69"
TOP = [("No", math.log(0.9)), ("Yes", math.log(0.05))]
GOOD = fake.verdict(TOP)


@pytest.fixture
def service() -> Iterator[ModuleType]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BentoML's own, at import
        module = importlib.import_module("services.vlm.service")
    yield module
    if hasattr(module.app.state, "verdicts"):
        del module.app.state.core


def picture(kind: str = "JPEG") -> bytes:
    return encode(lesion(), kind)


def call(
    service: ModuleType,
    engine: VisionEngine | None,
    content: bytes,
    method: str = "POST",
    path: str = "/v1/verdict",
    **headers: str,
) -> httpx2.Response:
    async def run() -> httpx2.Response:
        core = service.app.state.core = Verdicts(engine, decoders=1)
        transport = httpx2.ASGITransport(app=Edge(service.app, CAP))
        try:
            async with httpx2.AsyncClient(transport=transport, base_url="http://vlm") as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.request(method, path, content=content, headers=named)
        finally:
            await core.close()

    return asyncio.run(run())


def problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


@pytest.mark.parametrize("declared", ["image/jpeg", "application/octet-stream", "text/plain", "multipart/form-data"])
def test_a_picture_in_a_verdict_out(service: ModuleType, declared: str) -> None:
    with OpenAIServer(GOOD) as server:
        engine = OpenAIEngine(server.base_url, "melalog")
        answer = call(service, engine, picture(), content_type=declared, x_request_id=REQUEST_ID)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == REQUEST_ID
    found = answer.json()
    assert (found["status"], found["answer"], found["reason"]) == ("ok", "No", None)
    assert found["confidence"] == pytest.approx(0.9 / 0.95)
    assert found["p_yes"] == pytest.approx(0.05 / 0.95)
    assert found["logprobs"] == pytest.approx({"yes": math.log(0.05), "no": math.log(0.9)})
    assert found["melanoma"] is None
    assert found["model"]["name"] == "melalog"


def test_without_an_engine_it_answers_unavailable(service: ModuleType) -> None:
    answer = call(service, None, picture())
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["reason"]) == ("unavailable", "not_configured")


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [(fake.http_error(500), "unavailable"), (fake.http_error(400), "invalid"), (fake.raw(b"SECRET"), "invalid")],
)
def test_a_failing_engine_is_a_status_and_its_words_stay_inside(
    service: ModuleType, behaviour: fake.Behaviour, status: str
) -> None:
    with OpenAIServer(behaviour) as server, capture_logs() as logged:
        answer = call(service, OpenAIEngine(server.base_url, "m"), picture())
    assert answer.status_code == 200
    assert answer.json()["status"] == status
    assert "SECRET" not in answer.text
    assert logged
    assert "SECRET" not in str(logged)


def test_the_callers_deadline_is_kept(service: ModuleType) -> None:
    started = time.monotonic()
    with OpenAIServer(fake.silent) as server:
        answer = call(service, OpenAIEngine(server.base_url, "m"), picture(), x_melalog_deadline_ms="600")
    assert time.monotonic() - started < 4
    assert (answer.status_code, answer.json()["status"]) == (200, "timeout")


@pytest.mark.parametrize("header", ["soon", "", "1e3", "-5", "999999999999"])
def test_a_deadline_that_makes_no_sense_does_no_harm(service: ModuleType, header: str) -> None:
    with OpenAIServer(GOOD) as server:
        answer = call(service, OpenAIEngine(server.base_url, "m"), picture(), x_melalog_deadline_ms=header)
    assert answer.status_code == (503 if header == "-5" else 200)


def test_no_time_at_all_is_said_to_be_temporary(service: ModuleType) -> None:
    with OpenAIServer(GOOD) as server:
        answer = call(service, OpenAIEngine(server.base_url, "m"), picture(), x_melalog_deadline_ms="0")
    problem(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert server.requests == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (picture()[:400], 422),
        (picture("PNG")[:-30], 422),
        (b"", 422),
        (picture("GIF"), 415),
        (b"<svg/>", 415),
        (b"\xff" * (CAP + 1), 413),
    ],
    ids=["truncated JPEG", "truncated PNG", "empty", "GIF", "SVG", "over the cap"],
)
def test_a_picture_that_cannot_be_used_is_a_problem(service: ModuleType, content: bytes, status: int) -> None:
    with OpenAIServer(GOOD) as server:
        found = problem(call(service, OpenAIEngine(server.base_url, "m"), content), status)
    assert server.requests == []
    if status != 413:
        assert [error["field"] for error in found["errors"]] == ["image"]


def test_shedding_says_when_to_come_back(service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "MAX_WAITING", 0)
    with OpenAIServer(GOOD) as server:
        answer = call(service, OpenAIEngine(server.base_url, "m"), picture())
    problem(answer, 429)
    assert int(answer.headers["retry-after"]) >= 1


def test_a_bug_of_ours_is_told_without_its_words(service: ModuleType) -> None:
    class Broken:
        model = "broken"

        async def first_token(self, jpeg: bytes, question: str, within_s: float) -> list[tuple[str, float]]:
            raise KeyError("SECRET")

        async def close(self) -> None:
            pass

    with capture_logs() as logged:
        answer = call(service, Broken(), picture())
    problem(answer, 500)
    assert "SECRET" not in answer.text
    assert logged
    assert "SECRET" not in str(logged)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/verdict", 405), ("POST", "/v1/other", 404)])
def test_other_paths_and_methods(service: ModuleType, method: str, path: str, status: int) -> None:
    problem(call(service, None, b"", method, path), status)


def configured(service: ModuleType, monkeypatch: pytest.MonkeyPatch, **chosen: str) -> None:
    settings = Settings.model_validate({f"vlm_{key}": value for key, value in chosen.items()})
    monkeypatch.setattr(service, "settings", settings)
    monkeypatch.setattr(service, "release", factory.release(settings))


def test_the_model_is_named(service: ModuleType) -> None:
    assert call(service, None, b"", "GET", "/v1/model").json()["name"] is None
    told = call(service, OpenAIEngine("http://127.0.0.1:9/v1", "melalog-11b"), b"", "GET", "/v1/model").json()
    assert (told["name"], told["version"], told["calibrated"]) == ("melalog-11b", "unreported", False)


def test_the_bento_is_ready_without_an_engine(service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(service, monkeypatch, engine="none")
    bento = service.VlmService.inner()
    assert bento.core is service.app.state.core
    assert (bento.core.engine, bento.core.release) == (None, None)
    asyncio.run(bento.close())


def test_the_bento_takes_its_engine_from_the_settings(service: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(service, monkeypatch, engine="openai", base_url="http://127.0.0.1:9/v1", model="melalog-11b")
    bento = service.VlmService.inner()
    assert bento.core.engine.model == "melalog-11b"
    assert bento.core.release is None, "nothing says what its Yes is worth"
    asyncio.run(bento.close())


def test_an_engine_elsewhere_is_calibrated_by_the_release_that_is_named(
    service: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(service, monkeypatch, engine="openai", base_url="http://127.0.0.1:9/v1", artifact=str(RELEASED))
    bento = service.VlmService.inner()
    assert isinstance(bento.core.engine, OpenAIEngine)
    assert bento.core.release.manifest.question
    asyncio.run(bento.close())


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"engine": "openai"}, "MELALOG_VLM_BASE_URL"),
        ({"engine": "embedded", "artifact": "/nowhere"}, "no vision-language model is released there"),
        ({"engine": "openai", "base_url": "http://127.0.0.1:9/v1", "artifact": "/nowhere"}, "released there"),
    ],
)
def test_an_engine_that_cannot_be_had_stops_the_process_and_says_why(chosen: dict[str, str], said: str) -> None:
    settings = Settings.model_validate({f"vlm_{key}": value for key, value in chosen.items()})
    with pytest.raises(SystemExit, match=said):
        factory.release(settings)


def test_the_released_model_answers_over_http_and_says_what_it_is(
    service: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(service, monkeypatch, engine="embedded")
    bento = service.VlmService.inner()
    engine, release = bento.core.engine, bento.core.release

    async def run() -> tuple[dict[str, Any], dict[str, Any]]:
        transport = httpx2.ASGITransport(app=Edge(service.app, CAP))
        async with httpx2.AsyncClient(transport=transport, base_url="http://vlm") as client:
            found = (await client.post("/v1/verdict", content=picture())).json()
            told = (await client.get("/v1/model")).json()
        await bento.close()
        return found, told

    found, told = asyncio.run(run())
    assert found["status"] == "ok"
    assert found["model"] == {"name": engine.model, "version": release.manifest.version, "sha256": release.sha256}
    assert found["melanoma"] == pytest.approx(1 / (1 + math.exp(-found["logit"])))
    assert (told["engine"], told["calibrated"]) == ("embedded", True)
    assert "demonstration" in told["purpose"]
    assert told["metrics"]["ham10000_test_melanoma_auc"]["n"] == 1501
