"""The vlm's core: decode, re-encode, ask, score. No HTTP of ours, no BentoML."""

import io

from PIL import Image

from models.vlm.scoring import UnusableDistribution, score
from services.common import images
from services.common.deadline import Deadline
from services.common.decoders import MAX_WAITING, Decoders
from services.common.errors import Overloaded
from services.contracts import Logprobs, ModelInfo, VerdictResponse
from services.vlm.engine import EngineFailure, VisionEngine

QUESTION = "Does this picture of a skin lesion show signs of melanoma? Answer Yes or No."
SIDE = 1120
"""Llama 3.2 Vision's canvas; larger pictures are shrunk to it, smaller ones are left."""


class Verdicts:
    """One engine, or none: then every answer is `unavailable`, and the service is ready all the same."""

    def __init__(self, engine: VisionEngine | None, decoders: int) -> None:
        self.engine = engine
        self._decoders = Decoders(decoders)
        self._asking = 0

    async def judge(self, data: bytes, deadline: Deadline) -> VerdictResponse:
        """Raises UnsupportedPicture, UnreadablePicture, Overloaded, and TimeoutError when decoding took too long."""
        if self.engine is None:
            return VerdictResponse(status="unavailable", reason="not_configured")
        jpeg = await self._decoders.run(reencode, data, deadline)
        if self._asking >= MAX_WAITING:
            raise Overloaded("Too many pictures are waiting; try again in a moment.")
        self._asking += 1
        try:
            return await self._ask(self.engine, jpeg, deadline)
        finally:
            self._asking -= 1

    @staticmethod
    async def _ask(engine: VisionEngine, jpeg: bytes, deadline: Deadline) -> VerdictResponse:
        model = ModelInfo(name=engine.model, version="unreported")
        try:
            verdict = score(await engine.first_token(jpeg, QUESTION, deadline.left()))
        except EngineFailure as failure:
            return VerdictResponse(status=failure.status, reason=failure.reason, model=model)
        except UnusableDistribution:
            return VerdictResponse(status="invalid", reason="not_a_distribution", model=model)
        return VerdictResponse(
            answer=verdict.answer,
            confidence=verdict.confidence,
            p_yes=verdict.p_yes,
            logprobs=Logprobs(yes=verdict.logprob_yes, no=verdict.logprob_no),
            answer_mass=verdict.answer_mass,
            model=model,
        )

    async def close(self) -> None:
        """Let go of threads and connections."""
        self._decoders.close()
        if self.engine is not None:
            await self.engine.close()


def reencode(data: bytes) -> bytes:
    """Any accepted picture to a fresh upright JPEG without metadata, at most 1120 pixels a side."""
    picture = images.decode(data, SIDE)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
