"""The released small model, run as the service runs it."""

import asyncio
import math
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from models.vlm.serving.artifact import RELEASED, VlmArtifact
from models.vlm.serving.preprocess import encode, null_image, prepare
from models.vlm.serving.scoring import score
from services.vlm.engine.embedded import EmbeddedEngine
from services.vlm.engine.port import EngineFailure
from tests.pictures import lesion

PATIENT_S = 20.0
Top = list[tuple[str, float]]


@pytest.fixture(scope="module")
def released() -> VlmArtifact:
    return VlmArtifact.load(RELEASED)


@pytest.fixture
def engine(released: VlmArtifact) -> Iterator[EmbeddedEngine]:
    made = EmbeddedEngine(released, threads=1)
    yield made
    asyncio.run(made.close())


def ask(engine: EmbeddedEngine, picture: Image.Image, released: VlmArtifact, question: str | None = None) -> Top:
    view = released.manifest.input
    sent = encode(prepare(picture, view), view)
    return asyncio.run(engine.first_token(sent, question or released.manifest.question, PATIENT_S))


def test_a_whole_raw_distribution_comes_back_likeliest_first(engine: EmbeddedEngine, released: VlmArtifact) -> None:
    top = ask(engine, lesion(), released)
    assert math.fsum(math.exp(logprob) for _, logprob in top) == pytest.approx(1, abs=1e-6)
    assert [logprob for _, logprob in top] == sorted((logprob for _, logprob in top), reverse=True)
    assert score(top).answer_mass > 0.9, "it has learned to answer"


def test_it_is_the_model_that_was_calibrated(engine: EmbeddedEngine, released: VlmArtifact) -> None:
    answered = score(ask(engine, null_image(released.manifest.input), released)).logit
    assert answered == pytest.approx(released.manifest.calibration.null_logit, abs=1e-3)


def test_the_same_picture_gets_the_same_answer_and_another_another(
    engine: EmbeddedEngine, released: VlmArtifact
) -> None:
    dark = Image.fromarray((np.asarray(lesion()) * 0.4).astype(np.uint8))
    assert ask(engine, lesion(), released) == ask(engine, lesion(), released)
    assert ask(engine, lesion(), released) != ask(engine, dark, released)


def test_only_the_released_question_is_answered(engine: EmbeddedEngine, released: VlmArtifact) -> None:
    with pytest.raises(EngineFailure) as caught:
        ask(engine, lesion(), released, "Is it raining?")
    assert (caught.value.status, caught.value.reason) == ("invalid", "other_question")


def test_no_time_left_is_a_timeout_and_the_next_is_answered(engine: EmbeddedEngine, released: VlmArtifact) -> None:
    view = released.manifest.input
    sent = encode(prepare(lesion(), view), view)
    with pytest.raises(EngineFailure) as caught:
        asyncio.run(engine.first_token(sent, released.manifest.question, 0.0))
    assert caught.value.status == "timeout"
    assert ask(engine, lesion(), released)


def test_many_at_once_are_all_answered_alike(engine: EmbeddedEngine, released: VlmArtifact) -> None:
    view = released.manifest.input
    sent = encode(prepare(lesion(), view), view)

    async def run() -> list[Top]:
        asked = (engine.first_token(sent, released.manifest.question, PATIENT_S) for _ in range(12))
        return await asyncio.gather(*asked)

    answers = asyncio.run(run())
    assert all(answer == answers[0] for answer in answers)
