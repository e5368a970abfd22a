"""The upgrade path: a current vLLM with adapters loaded at run time, each chosen by its model name."""

import asyncio

import pytest

from models.vlm.serving.scoring import Verdict, score
from services.vlm.core import QUESTION
from services.vlm.engine.openai_server import OpenAIEngine
from services.vlm.engine.port import EngineFailure
from tests.engine.conftest import Engine
from tests.pictures import encode, lesion

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def ask(engine: Engine, model: str) -> Verdict:
    async def once() -> Verdict:
        adapter = OpenAIEngine(engine.url, model)
        try:
            return score(await adapter.first_token(encode(lesion(112, 112), "PNG"), QUESTION, 30))
        finally:
            await adapter.close()

    return asyncio.run(once())


def test_the_adapter_is_chosen_by_its_name(adapting: Engine) -> None:
    base, tuned = ask(adapting, "melalog"), ask(adapting, "tuned")
    print(f"p_yes: base {base.p_yes}, adapter {tuned.p_yes}")  # noqa: T201  (the figure is the point)
    assert base.p_yes is not None
    assert tuned.p_yes is not None
    assert abs(base.p_yes - tuned.p_yes) > 0.01
    assert ask(adapting, "melalog") == base, "asking the adapter leaves the base as it was"


def test_an_adapter_that_is_not_loaded_is_named(adapting: Engine) -> None:
    with pytest.raises(EngineFailure) as failed:
        ask(adapting, "other")
    assert failed.value.reason == "model_not_found"
