"""One assessment: both image services at once, then fusion, inside one deadline. No HTTP, no BentoML."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from fusion import wording
from services.common.client import DependencyFailure
from services.common.deadline import Deadline
from services.common.errors import MelalogError, NoPictureEvidence
from services.common.telemetry import request_id
from services.contracts import (
    Assessment,
    ClassifierFinding,
    ClassifyResponse,
    Findings,
    FuseRequest,
    FuseResponse,
    FusionInfo,
    Message,
    Modality,
    Status,
    VerdictResponse,
    VlmFinding,
)
from services.orchestrator import metrics
from services.orchestrator.nodes import Nodes
from services.orchestrator.submission import Submission
from services.risk import decide

FUSION_RESERVE_S, FUSION_RESERVE_SHARE = 3.0, 0.3
"""The image stage leaves this much, or this share of a short deadline, for what comes after it."""
RETURN_S = 0.3
"""Kept back from fusion, so that the rules here can still answer in its place."""

F = TypeVar("F", ClassifyResponse, VerdictResponse)
P = TypeVar("P", ClassifierFinding, VlmFinding)
Tell = Callable[[str, Message], None]
"""Hears of every part of the answer's `findings` as it is finished: its name there, and what it says."""


class Assessor:
    """Asks the services and puts the answer together."""

    def __init__(
        self, nodes: Nodes, rules: decide.Rules, deadline_s: float, disclaimer: str = wording.DISCLAIMER
    ) -> None:
        self.nodes, self.rules, self.deadline_s, self.disclaimer = nodes, rules, deadline_s, disclaimer

    async def assess(self, submission: Submission, *, heatmap: bool, tell: Tell = lambda _, __: None) -> Assessment:
        """Raises NoPictureEvidence when both image services failed, and what they say of an unusable picture."""
        deadline = Deadline.after(self.deadline_s)
        images = deadline.less(min(FUSION_RESERVE_S, FUSION_RESERVE_SHARE * self.deadline_s))
        with metrics.step("images"):
            classified, judged = await _both(
                self._classified(submission.image, images, heatmap=heatmap, tell=tell),
                self._judged(submission.image, images, tell),
            )
        if classified.status != "ok" and judged.status != "ok":
            raise NoPictureEvidence("No model can judge the picture at the moment; try again shortly.", retry_after_s=2)
        modality = _modality(submission, classified)
        request = FuseRequest(
            answers=submission.answers,
            modality=modality,
            language=submission.language,
            classifier=classified.model_copy(update={"heatmap": None}),
            vlm=judged,
            picture=classified.picture,
        )
        with metrics.step("fusion"):
            fused, fusion_failed = await self._fuse(request, deadline)
        tell("questionnaire", fused.questionnaire)
        missing = {
            "classifier": classified.status != "ok",
            "vlm": judged.status != "ok",
            "fusion": fusion_failed,
            "llm": fused.llm_failed,
        }
        found = Assessment(
            id=request_id(),
            created_at=datetime.now(UTC),
            modality=modality,
            risk=fused.risk,
            findings=Findings(
                classifier=_public(classified, ClassifierFinding),
                vlm=_public(judged, VlmFinding),
                picture=classified.picture,
                questionnaire=fused.questionnaire,
            ),
            fusion=fused.fusion,
            degraded=tuple(name for name, is_missing in missing.items() if is_missing),
            disclaimer=self.disclaimer,
        )
        metrics.assessed(found)
        return found

    async def _classified(self, image: bytes, deadline: Deadline, *, heatmap: bool, tell: Tell) -> ClassifyResponse:
        found = await _or_status(self.nodes.classify(image, deadline, heatmap=heatmap), ClassifyResponse)
        tell("classifier", _public(found, ClassifierFinding))
        tell("picture", found.picture)
        return found

    async def _judged(self, image: bytes, deadline: Deadline, tell: Tell) -> VerdictResponse:
        found = await _or_status(self.nodes.judge(image, deadline), VerdictResponse)
        tell("vlm", _public(found, VlmFinding))
        return found

    async def _fuse(self, request: FuseRequest, deadline: Deadline) -> tuple[FuseResponse, bool]:
        """Ask fusion; when it fails, apply the same rules here."""
        try:
            return await self.nodes.fuse(request, deadline.less(RETURN_S)), False
        except (DependencyFailure, MelalogError):
            decision = decide.decide(request, self.rules)
            return decide.respond(decision, None, FusionInfo(engine="rules")), True


def _public(found: Message, kind: type[P]) -> P:
    """What of a service's answer the front-end is told."""
    return kind.model_validate(found.model_dump())


def _modality(submission: Submission, classified: ClassifyResponse) -> Modality:
    """What the caller says; else what the classifier could tell; else the one that never lowers a risk."""
    if submission.modality != "auto":
        return submission.modality
    # A picture that is unlike all others is not told apart by what it looks like.
    return (classified.modality if classified.in_distribution is not False else None) or "photograph"


async def _or_status(answer: Awaitable[F], kind: type[F]) -> F:
    """The answer, or an empty finding that says how it failed."""
    try:
        found = await answer
    except DependencyFailure as failure:
        return kind(status=failure.status)
    if found.status == "ok" and found.complete:
        return found
    return _emptied(found, kind, "invalid" if found.status == "ok" else found.status)


def _emptied(found: F, kind: type[F], status: Status) -> F:
    """A finding that is not ok carries nothing but its status and, where known, its model."""
    return kind(status=status, model=found.model)


async def _both(first: Any, second: Any) -> tuple[ClassifyResponse, VerdictResponse]:
    """Wait for both; when one refuses the picture, stop the other and raise the refusal."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
