"""The fusion service's core: the rules decide, the hosted model explains and may raise the level by one step."""

import time
from collections.abc import Callable

import structlog

from fusion import bounds, prompt, questionnaire
from fusion.bounds import HostedAnswer
from fusion.briefing import Briefing, CodedFindings, coded
from fusion.rules import Decision
from services.common import tracing
from services.common.deadline import Deadline
from services.contracts import FuseRequest, FuseResponse, FusionInfo
from services.fusion import metrics
from services.fusion.engine.hosted import Explainer, HostedFailure
from services.risk import decide

MARGIN_S = 0.25
"""Kept back from the hosted model to bring the answer home."""


def brief(request: FuseRequest, decision: Decision) -> Briefing:
    """What the hosted model is told of a request: all that is in it by code, and nothing that is text."""
    found = request.model_dump(include={"modality", "classifier", "vlm", "picture"})
    answers = coded(request.answers, questionnaire.load())
    return Briefing(decision, answers, CodedFindings.model_validate(found), request.language)


class Fuser:
    """Decides by the rules, always; explains by the hosted model where there is one and it behaves."""

    def __init__(
        self, rules: decide.Rules, explainer: Explainer | None, key: Callable[[], str] = lambda: "given"
    ) -> None:
        """`key`: as it is at the moment; while it is empty the explainer is not asked, and that is no failure."""
        self.rules, self.explainer, self._key = rules, explainer, key

    @property
    def asked(self) -> bool:
        """Whether the hosted model explains what comes in now."""
        return self.explainer is not None and bool(self._key())

    async def fuse(self, request: FuseRequest, deadline: Deadline) -> FuseResponse:
        """Raises fusion.questionnaire.InvalidAnswers."""
        with tracing.span("fuse"):
            decision = decide.decide(request, self.rules)
        if self.explainer is None or not self.asked:
            return decide.respond(decision, None, FusionInfo(engine="rules"))
        try:
            told = await self._explained(self.explainer, brief(request, decision), deadline)
        except HostedFailure as failure:
            metrics.failed(failure.reason)
            structlog.get_logger().warning("hosted model failed", dependency="llm", reason=failure.reason)
            info = FusionInfo(engine="rules", level_proposed=failure.proposed)
            return decide.respond(decision, None, info, llm_failed=True)
        metrics.explained(told.level)
        info = FusionInfo(
            engine="llm",
            model=self.explainer.model,
            level_proposed=told.level,
            key_reasons=told.key_reasons,
            prompt=prompt.VERSION,
        )
        bounded = bounds.with_questions(bounds.apply(decision, told), told)
        return decide.respond(bounded, told.explanation, info, language=request.language)

    @staticmethod
    async def _explained(explainer: Explainer, briefing: Briefing, deadline: Deadline) -> HostedAnswer:
        started = time.perf_counter()
        with tracing.span("hosted model", "client", dependency="llm", model=explainer.model) as noted:
            try:
                return await explainer.explain(briefing, deadline.left() - MARGIN_S)
            except HostedFailure as failure:
                noted.attributes["reason"] = failure.reason
                raise
            finally:
                metrics.took(time.perf_counter() - started)

    async def close(self) -> None:
        """Let go of connections."""
        if self.explainer is not None:
            await self.explainer.close()
