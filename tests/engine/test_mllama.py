"""The vlm service in front of the real vLLM serving a Llama 3.2 Vision."""

import asyncio
import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from models.classifier.data import table
from models.vlm.serving.scoring import UnusableDistribution, score
from services.vlm.core import QUESTION, reencode
from services.vlm.engine import openai_server
from services.vlm.engine.openai_server import OpenAIEngine
from services.vlm.engine.port import EngineFailure
from tests.conftest import Running, running
from tests.engine.conftest import Engine, Served
from tests.pictures import encode, lesion

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
DEADLINE_S = 4.0
PICTURES, TOLERANCE = 60, 0.02


@pytest.fixture(scope="module")
def service(engine: Engine, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    environment = {
        "MELALOG_VLM_ENGINE": "openai",
        "MELALOG_VLM_BASE_URL": engine.url,
        "MELALOG_VLM_ARTIFACT": str(served.artifact or ""),
        "MELALOG_DEADLINE_S": str(DEADLINE_S),
    }
    with running(("vlm",), tmp_path_factory.mktemp("service"), environment) as started:
        yield started


def verdict(service: Running, picture: bytes) -> dict[str, Any]:
    url = f"http://127.0.0.1:{service.ports['vlm']}/v1/verdict"
    answer = httpx2.post(url, content=picture, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ask(engine: Engine, model: str = "melalog") -> list[tuple[str, float]]:
    async def once() -> list[tuple[str, float]]:
        adapter = OpenAIEngine(engine.url, model)
        try:
            return await adapter.first_token(encode(lesion(112, 112), "PNG"), QUESTION, 30)
        finally:
            await adapter.close()

    return asyncio.run(once())


def failure(how: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(EngineFailure) as failed:
        how()
    return failed.value.status, failed.value.reason


@pytest.mark.data
def test_p_yes_agrees_with_transformers_over_real_pictures(
    service: Running, served: Served, record_property: Callable[[str, object], None]
) -> None:
    if "MELALOG_DATA_DIR" not in os.environ:
        pytest.skip("MELALOG_DATA_DIR is not set")
    from export import vlm  # noqa: PLC0415  (slow to import, and only this test needs it)

    rows = [row for row in table.read(Path(os.environ["MELALOG_DATA_DIR"]), "ham10000") if row.split == "train"]
    files = [row.path.read_bytes() for row in rows[:: len(rows) // PICTURES][:PICTURES]]
    found = [verdict(service, data) for data in files]
    assert {one["status"] for one in found} == {"ok"}, found[0]
    model, processor = vlm.load(served.folder)
    prepared = [Image.open(io.BytesIO(reencode(data, served.view))).convert("RGB") for data in files]
    expected = vlm.p_yes(model, processor, prepared, served.question)
    difference = np.abs(np.array([one["p_yes"] for one in found]) - expected)
    told = f"n = {len(files)}, p_yes {expected.min():.3f} to {expected.max():.3f}, largest difference "
    record_property("parity", told + f"{difference.max():.5f}")
    print(told + f"{difference.max():.5f}, mean {difference.mean():.5f}")  # noqa: T201  (the figure is the point)
    assert difference.max() <= TOLERANCE
    assert np.ptp(expected) > 2 * difference.max(), "an answer that never moves would agree with anything"


def test_killed_it_degrades_and_started_again_it_is_used_within_five_seconds(service: Running, engine: Engine) -> None:
    picture = encode(lesion())
    assert verdict(service, picture)["status"] == "ok"
    engine.send(signal.SIGKILL)
    gone = verdict(service, picture)
    assert (gone["status"], gone["reason"], gone["p_yes"]) == ("unavailable", "connection", None)
    assert httpx2.get(f"http://127.0.0.1:{service.ports['vlm']}/readyz", trust_env=False).is_success
    engine.start()
    back, found = time.monotonic(), {}
    while time.monotonic() - back < 5:
        if (found := verdict(service, picture))["status"] == "ok":
            break
    assert found["status"] == "ok"
    assert {verdict(service, picture)["status"] for _ in range(5)} == {"ok"}


def test_frozen_it_is_a_timeout_within_the_deadline(service: Running, engine: Engine) -> None:
    picture = encode(lesion())
    assert verdict(service, picture)["status"] == "ok"
    engine.send(signal.SIGSTOP)
    try:
        started = time.monotonic()
        frozen = verdict(service, picture)
        took = time.monotonic() - started
    finally:
        engine.send(signal.SIGCONT)
    assert (frozen["status"], frozen["reason"]) == ("timeout", "timeout")
    assert took < DEADLINE_S + 0.5
    assert verdict(service, picture)["status"] == "ok"


def test_one_logprob_too_many_is_refused_by_name(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(ask(engine)) == openai_server.TOP_LOGPROBS == 20
    monkeypatch.setattr(openai_server, "TOP_LOGPROBS", 21)
    assert failure(lambda: ask(engine)) == ("invalid", "refused")


def test_a_wrong_model_name_is_named(engine: Engine) -> None:
    assert failure(lambda: ask(engine, "other")) == ("unavailable", "model_not_found")


def test_a_text_only_model_refuses_the_picture(text_only: Engine) -> None:
    assert failure(lambda: ask(text_only)) == ("invalid", "refused")


def test_a_masked_distribution_is_no_confidence(engine: Engine) -> None:
    """What constrained decoding would give: the service never asks for it, and a proxy that does is found out."""
    sent: dict[str, Any] = {"guided_choice": ["Yes", "No"], "structured_outputs": {"choice": ["Yes", "No"]}}
    sent |= {"model": "melalog", "max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 20}
    sent |= {"messages": [{"role": "user", "content": "Answer Yes or No."}]}
    answer = httpx2.post(f"{engine.url}/chat/completions", json=sent, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    top = openai_server._read(answer.status_code, answer.content)  # noqa: SLF001
    with pytest.raises(UnusableDistribution):
        score(top)
