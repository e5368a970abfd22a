"""Which modality an assessment is made for, with the real rules and fake services."""

import asyncio
from typing import Any, get_args

import pytest

from services.common.client import DependencyFailure
from services.contracts import ClassifyResponse, Modality
from services.orchestrator.core import Assessor
from services.orchestrator.submission import Submission
from services.risk.decide import Rules

SEEN: dict[str, Any] = {
    "melanoma": 0.005,
    "malignant": 0.01,
    "classes": {"mel": 0.005, "nv": 0.995},
    "prevalence": 0.11,
    "malignant_prevalence": 0.2,
    "logit_sd": 0.4,
}


class FakeNodes:
    """A classifier that answers, and nothing else: the rules are applied here."""

    def __init__(self, **seen: Any) -> None:
        self.seen = ClassifyResponse.model_validate(SEEN | seen)

    async def classify(self, *_: Any, **__: Any) -> ClassifyResponse:
        return self.seen

    async def judge(self, *_: Any) -> Any:
        raise DependencyFailure("unavailable")

    async def fuse(self, *_: Any) -> Any:
        raise DependencyFailure("unavailable")


def assess(asked: Any, **seen: Any) -> tuple[str, str]:
    nodes: Any = FakeNodes(**seen)
    submission = Submission(b"", {"age": 25}, asked)
    answer = asyncio.run(Assessor(nodes, Rules(0.025), 10).assess(submission, heatmap=False))
    assert answer.findings.classifier.modality == seen.get("modality")
    return answer.modality, answer.risk.level


@pytest.mark.parametrize("told", [*get_args(Modality), None])
@pytest.mark.parametrize("asked", get_args(Modality))
def test_what_the_caller_says_wins(asked: str, told: str | None) -> None:
    assert assess(asked, modality=told)[0] == asked


def test_auto_is_what_the_classifier_tells_and_else_the_cautious_one() -> None:
    assert assess("auto", modality="dermoscopy") == ("dermoscopy", "low")
    assert assess("auto", modality="photograph") == ("photograph", "moderate")
    assert assess("auto") == ("photograph", "moderate")


def test_the_modality_of_a_picture_unlike_all_others_is_not_believed() -> None:
    assert assess("auto", modality="dermoscopy", in_distribution=False) == ("photograph", "moderate")
    assert assess("dermoscopy", in_distribution=False) == ("dermoscopy", "moderate")


def test_a_photograph_sent_as_dermoscopy_is_not_rated_low() -> None:
    assert assess("dermoscopy", modality="dermoscopy")[1] == "low"
    assert assess("dermoscopy", modality="photograph") == ("dermoscopy", "moderate")
