import asyncio
import importlib
import json
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.common.edge import Edge
from services.common.settings import Settings
from services.contracts import FuseResponse
from services.fusion.core import Fuser
from services.fusion.engine.hosted import Explainer, OpenAIExplainer
from services.fusion.metrics import PrometheusMeter
from services.risk.decide import Rules
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import OpenAIServer

SAID = {"level": "low", "key_reasons": ["answer.fair_skin"], "questions_for_doctor": []}
TOLD = "The picture weighed most in this result, and your answers added a little to it."
REQUEST: dict[str, Any] = {
    "answers": {"age": 64, "sex": "female", "fair_skin": "yes"},
    "modality": "dermoscopy",
    "classifier": {"melanoma": 0.9, "prevalence": 0.1, "logit_sd": 0.3},
    "vlm": {"status": "unavailable"},
}


@pytest.fixture
def service() -> Iterator[ModuleType]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BentoML's own, at import
        module = importlib.import_module("services.fusion.service")
    yield module
    if hasattr(module.app.state, "fuser"):
        del module.app.state.core


def call(service: ModuleType, explainer: Explainer | None, body: object, **headers: str) -> httpx2.Response:
    async def run() -> httpx2.Response:
        core = service.app.state.core = Fuser(Rules(0.025), explainer)
        transport = httpx2.ASGITransport(app=Edge(service.app, 100_000))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            async with httpx2.AsyncClient(transport=transport, base_url="http://fusion", headers=named) as client:
                return await client.post("/v1/fuse", content=content, headers={"content-type": "application/json"})
        finally:
            await core.close()

    return asyncio.run(run())


def test_findings_in_one_risk_out(service: ModuleType) -> None:
    answer = call(service, None, {**REQUEST, "a_field_of_tomorrow": {"x": 1}})
    assert answer.status_code == 200
    fused = FuseResponse.model_validate_json(answer.content)
    assert (fused.risk.level, fused.fusion.engine, fused.llm_failed) == ("high", "rules", False)


def test_the_hosted_model_explains_and_does_not_decide(service: ModuleType) -> None:
    with OpenAIServer(fake.text(json.dumps({**SAID, "explanation": TOLD}))) as server:
        answer = call(service, OpenAIExplainer(server.base_url, "a-key", "m"), REQUEST)
    fused = FuseResponse.model_validate_json(answer.content)
    assert (fused.risk.level, fused.risk.explanation) == ("high", TOLD)
    assert (fused.fusion.engine, fused.fusion.level_proposed) == ("llm", "low")


def test_the_callers_deadline_reaches_the_hosted_model(service: ModuleType) -> None:
    with OpenAIServer(fake.silent) as server:
        explainer = OpenAIExplainer(server.base_url, "a-key", "m")
        answer = call(service, explainer, REQUEST, x_melalog_deadline_ms="700")
    assert answer.status_code == 200
    assert answer.json()["llm_failed"] is True


def test_the_metrics_of_the_hosted_model_are_at_the_services_own_address(service: ModuleType) -> None:
    async def scrape() -> str:
        transport = httpx2.ASGITransport(app=Edge(service.app, 100_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://fusion") as client:
            return (await client.get("/metrics")).text

    with OpenAIServer(fake.http_error(404)) as server:
        explainer = OpenAIExplainer(server.base_url, "a-key", "m", meter=PrometheusMeter())
        assert call(service, explainer, REQUEST).json()["llm_failed"] is True
    shown = asyncio.run(scrape())
    (line,) = [line for line in shown.splitlines() if line.startswith('melalog_llm_failures_total{reason="model_not_f')]
    assert float(line.split()[-1]) >= 1


def test_words_of_the_host_and_the_key_go_nowhere(service: ModuleType) -> None:
    with OpenAIServer(fake.http_error(401)) as server, capture_logs() as logged:
        answer = call(service, OpenAIExplainer(server.base_url, "THE-KEY", "m"), REQUEST)
    assert answer.json()["llm_failed"] is True
    assert "unauthorized" in [line.get("reason") for line in logged]
    everywhere = answer.text + str(logged)
    assert "SECRET" not in everywhere
    assert "THE-KEY" not in everywhere


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({**REQUEST, "answers": {"fair_skin": "perhaps"}}, 422, "answers.fair_skin"),
        ({**REQUEST, "answers": {"age": 400}}, 422, "answers.age"),
        ({**REQUEST, "modality": "x-ray"}, 422, "modality"),
        ({**REQUEST, "language": "fr"}, 422, "language"),
        ({**REQUEST, "classifier": {"melanoma": 7}}, 422, "classifier.melanoma"),
        (b'{"answers": ', 400, "body"),
    ],
)
def test_what_cannot_be_fused_is_a_problem(service: ModuleType, body: object, status: int, field: str) -> None:
    answer = call(service, None, body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("key", ["", "a-key"])
def test_a_key_is_what_turns_the_hosted_model_on(
    service: ModuleType, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(service, "settings", Settings.model_construct(llm_api_key=SecretStr(key)))
    bento = service.FusionService.inner()
    assert bento.core.asked == bool(key)
    assert asyncio.run(service.model())["llm"] == (service.settings.llm_model if key else None)
    asyncio.run(bento.close())
