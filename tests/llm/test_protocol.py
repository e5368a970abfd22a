"""The hosted model's adapter against a real engine: JSON by schema is really enforced, and read."""

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from fusion import prompt
from fusion.bounds import HostedAnswer
from services.common.deadline import Deadline
from services.contracts import ClassifyResponse, FuseRequest, FuseResponse
from services.fusion.core import Fuser, brief
from services.fusion.engine import completion
from services.fusion.engine.completion import Completion, Format
from services.fusion.engine.hosted import HostedFailure, OpenAIExplainer
from services.risk import decide
from tests.engine.conftest import Engine
from tests.fakes.briefings import TOLD
from tests.llm import tiny

pytestmark = [pytest.mark.llm, pytest.mark.timeout(600)]
PATIENT_S = 60.0
CASE = FuseRequest(
    answers={"age": 64, "fair_skin": "yes"},
    modality="dermoscopy",
    classifier=ClassifyResponse(melanoma=0.02, malignant=0.02, prevalence=0.1, classes={"mel": 0.02, "nv": 0.98}),
)
RULES = decide.Rules(prior=0.025)


RULED = decide.decide(CASE, RULES)
BRIEFING = brief(CASE, RULED)
ANSWER: dict[str, Any] = {
    "level": "high",
    "key_reasons": list(BRIEFING.reasons)[:1],
    "explanation": TOLD["en"],
    "questions_for_doctor": ["How soon can this spot be seen?"],
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if not (command := os.environ.get("MELALOG_LLM_ENGINE")):
        pytest.skip("MELALOG_LLM_ENGINE is not set: it names a command that serves a Llama (tests/llm/vllm-cpu)")
    folder = tmp_path_factory.mktemp("llm")
    tiny.llama(folder / "model", BRIEFING, ANSWER)
    options = ["--served-model-name", "melalog", "--max-model-len", str(tiny.CONTEXT)]
    one = Engine([command, str(folder / "model"), "{port}"], options, folder / "log")
    one.start(pictures=False)
    yield one
    one.stop()


def ask(engine: Engine, schema: dict[str, Any], form: Format, **changed: Any) -> Completion:
    async def once() -> Completion:
        client = completion.client(engine.url, "none")
        try:
            sent = completion.body("melalog", prompt.messages(BRIEFING), schema, form)
            return await completion.complete(client, {**sent, **changed})
        finally:
            await client.close()

    return asyncio.run(once())


def explainer(engine: Engine, model: str = "melalog") -> OpenAIExplainer:
    return OpenAIExplainer(engine.url, "none", model)


def test_an_answer_by_schema_comes_through_the_whole_of_fusion(engine: Engine) -> None:
    async def run() -> FuseResponse:
        core = Fuser(RULES, explainer(engine))
        try:
            return await core.fuse(CASE, Deadline.after(PATIENT_S))
        finally:
            await core.close()

    answer = asyncio.run(run())
    assert answer.llm_failed is False
    assert answer.fusion.engine == "llm"
    assert answer.fusion.level_proposed == "high"
    assert answer.risk.explanation == TOLD["en"]
    assert answer.risk.melanoma == RULED.melanoma
    assert answer.risk.questions_for_doctor[-1] == ANSWER["questions_for_doctor"][0]


def test_the_engine_holds_the_model_to_the_schema_whatever_it_would_rather_say(engine: Engine) -> None:
    """It learned other ids and another level by heart: what it writes must be those it is given now."""
    schema = prompt.schema(["answer.many_moles", "floor.poor_picture"])
    schema["properties"]["level"]["enum"] = ["low"]
    schema["properties"]["key_reasons"]["minItems"] = 1
    answer = ask(engine, schema, "json_schema", temperature=1.0, max_tokens=2500)
    assert answer.finish == "stop"
    read = HostedAnswer.model_validate_json(answer.text)
    assert read.level == "low"
    assert set(read.key_reasons) <= {"answer.many_moles", "floor.poor_picture"}
    assert set(json.loads(answer.text)) == set(schema["required"])
    assert answer.prompt_tokens > 100
    assert answer.completion_tokens > 20


@pytest.mark.parametrize("form", ["json_object", "none"])
def test_the_two_weaker_formats_are_taken_too(engine: Engine, form: Format) -> None:
    assert json.loads(ask(engine, prompt.schema(list(BRIEFING.reasons)), form, temperature=0).text) == ANSWER


def test_a_model_that_is_not_there_is_named_so(engine: Engine) -> None:
    async def run() -> None:
        gone = explainer(engine, "meta-llama/Llama-3.3-70B-Instruct")
        try:
            await gone.explain(BRIEFING, PATIENT_S)
        finally:
            await gone.close()

    with pytest.raises(HostedFailure, match="model_not_found"):
        asyncio.run(run())


def test_an_answer_that_is_cut_off_is_seen_as_such(engine: Engine) -> None:
    assert ask(engine, prompt.schema(list(BRIEFING.reasons)), "json_schema", max_tokens=20).finish == "length"
