"""The whole graph with both models configured, and what is left when each of them fails."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.conftest import Running, running
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import OpenAIServer
from tests.pictures import encode, lesion

RAW = [("Yes", -0.05), ("No", -3.1)]
TOLD = "The picture weighed most in this result, and your answers added a little to it."
SAID = {"key_reasons": [], "explanation": TOLD, "questions_for_doctor": []}


@dataclass
class Configured:
    """The four services, pointed at an engine and at a hosted model that behave as a test says."""

    running: Running
    engine: OpenAIServer
    hosted: OpenAIServer

    def assess(self) -> dict[str, Any]:
        data = {"questionnaire": '{"age": 61, "fair_skin": "yes"}'}
        url = f"{self.running.url}/v1/assessments"
        answer = httpx2.post(url, files={"image": ("x.jpg", encode(lesion()))}, data=data, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configured]:
    with (
        OpenAIServer(fake.verdict(RAW), fake.silent, fake.verdict(RAW)) as engine,
        OpenAIServer(
            fake.text(json.dumps({**SAID, "level": "low"})),
            fake.text(json.dumps({**SAID, "level": "high"})),
            fake.http_error(404),
        ) as hosted,
    ):
        environment = {
            "MELALOG_VLM_ENGINE": "openai",
            "MELALOG_VLM_BASE_URL": engine.base_url,
            "MELALOG_LLM_API_KEY": "sk-canary",
            "MELALOG_LLM_BASE_URL": hosted.base_url,
            "MELALOG_DEADLINE_S": "4",
        }
        names = ("classifier", "vlm", "fusion", "orchestrator")
        with running(names, tmp_path_factory.mktemp("engines"), environment) as started:
            yield Configured(started, engine, hosted)


def test_each_model_has_its_say_and_is_named_when_it_fails(configured: Configured) -> None:
    whole = configured.assess()
    assert whole["degraded"] == []
    assert whole["findings"]["vlm"]["answer"] == "Yes"
    assert whole["findings"]["vlm"]["confidence"] == pytest.approx(0.955, abs=0.01)
    assert whole["findings"]["vlm"]["melanoma"] is None, "there is no calibration, so there is no risk in it"
    assert whole["risk"]["explanation"] == TOLD
    assert whole["fusion"]["engine"] == "llm"
    assert whole["fusion"]["level_proposed"] == "low"

    without_vlm = configured.assess()
    assert without_vlm["degraded"] == ["vlm"]
    assert without_vlm["findings"]["vlm"]["status"] == "timeout"

    without_llm = configured.assess()
    assert without_llm["degraded"] == ["llm"]
    assert without_llm["fusion"]["engine"] == "rules"

    for other in (without_vlm, without_llm):
        for part in ("level", "melanoma", "malignant", "interval", "contributions"):
            assert other["risk"][part] == whole["risk"][part], "neither model moves the number or the level"
    assert "sk-canary" not in configured.running.output()
    assert "sk-canary" not in json.dumps(httpx2.get(f"{configured.running.url}/v1/models").json())
    sent = configured.engine.requests[0].body["messages"][0]["content"]
    assert sent[0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
