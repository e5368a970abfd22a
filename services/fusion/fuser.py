"""The fusion service's core: the rules decide, the hosted model may put it in words."""

import structlog

from fusion.hosted import Explainer, HostedFailure
from services.common import fusing
from services.common.deadline import Deadline
from services.contracts import FuseRequest, FuseResponse, FusionInfo

MARGIN_S = 0.25
"""Kept back from the hosted model to bring the answer home."""


class Fuser:
    """Decides by the rules, always; explains by the hosted model where there is one and it behaves."""

    def __init__(self, rules: fusing.Rules, explainer: Explainer | None) -> None:
        self.rules, self.explainer = rules, explainer

    async def fuse(self, request: FuseRequest, deadline: Deadline) -> FuseResponse:
        """Raises fusion.questionnaire.InvalidAnswers."""
        decision = fusing.decide(request, self.rules)
        if self.explainer is None:
            return fusing.respond(decision, None, FusionInfo(engine="rules"))
        try:
            told = await self.explainer.explain(decision, deadline.left() - MARGIN_S)
        except HostedFailure as failure:
            structlog.get_logger().warning("hosted model failed", dependency="llm", reason=failure.reason)
            return fusing.respond(decision, None, FusionInfo(engine="rules"), llm_failed=True)
        info = FusionInfo(engine="llm", model=self.explainer.model, level_proposed=told.level)
        return fusing.respond(decision, told.explanation, info)

    async def close(self) -> None:
        """Let go of connections."""
        if self.explainer is not None:
            await self.explainer.close()
