"""The vlm's core: decode, re-encode, ask, score, calibrate. No HTTP of ours, no BentoML."""

import time
from typing import Any

from models.vlm.serving.artifact import VlmArtifact
from models.vlm.serving.preprocess import LLAMA, View, encode, null_image, prepare
from models.vlm.serving.scoring import UnusableDistribution, Verdict, score
from services.common import images, tracing
from services.common.deadline import Deadline
from services.common.decoders import MAX_WAITING, Decoders
from services.common.errors import Overloaded
from services.contracts import Logprobs, ModelInfo, VerdictResponse
from services.vlm import metrics
from services.vlm.engine.port import EngineFailure, VisionEngine

QUESTION = "Does this picture of a skin lesion show signs of melanoma? Answer Yes or No."
"""Asked where no release says which question its calibration was fitted on."""
SAME_MODEL = 0.3
"""Judgement: how far, in log-odds, an engine's answer to nothing may be from the release's. Number formats move it by
a few hundredths; a missing or another adapter by whole units."""

WARM_UP_S = 30.0


class Verdicts:
    """One engine, or none: then every answer is `unavailable`, and the service is ready all the same.

    With a release the answer is calibrated, once the engine has shown that it runs the released model.
    """

    def __init__(self, engine: VisionEngine | None, decoders: int, release: VlmArtifact | None = None) -> None:
        self.engine = engine
        self.release = release
        self._sha256 = release.sha256 if release else None
        self._question = release.manifest.question if release else QUESTION
        self._view = release.manifest.input if release else LLAMA
        self._proven = release is None
        self._decoders = Decoders(decoders)
        self._asking = 0

    @property
    def model(self) -> ModelInfo | None:
        """What answers: the release where there is one, else the name the engine is asked for."""
        if self.release is not None:
            told = self.release.manifest
            return ModelInfo(name=told.name, version=told.version, sha256=self._sha256)
        return None if self.engine is None else ModelInfo(name=self.engine.model, version="unreported")

    async def warm_up(self) -> None:
        """For an engine in this process, before the first caller asks: one question, about nothing."""
        if self.engine is not None:
            try:
                await self._prove(self.engine, Deadline.after(WARM_UP_S))
            except EngineFailure as failure:
                metrics.note(failure.reason)
            else:
                metrics.note("ok")

    async def judge(self, data: bytes, deadline: Deadline) -> VerdictResponse:
        """Raises UnsupportedPicture, UnreadablePicture, Overloaded, and TimeoutError when decoding took too long."""
        if self.engine is None:
            return VerdictResponse(status="unavailable", reason="not_configured")
        picture = await self._decoders.run(lambda raw: reencode(raw, self._view), data, deadline)
        if self._asking >= MAX_WAITING:
            raise Overloaded("Too many pictures are waiting; try again in a moment.")
        self._asking += 1
        try:
            await self._prove(self.engine, deadline)
            answer = self._respond(await self._ask(self.engine, picture, deadline))
        except EngineFailure as failure:
            metrics.note(failure.reason)
            self._proven = self.release is None  # whatever answers next may be another one
            return VerdictResponse(status=failure.status, reason=failure.reason, model=self.model)
        else:
            metrics.note("ok")
            return answer
        finally:
            self._asking -= 1

    async def _ask(self, engine: VisionEngine, picture: bytes, deadline: Deadline) -> Verdict:
        """Raises EngineFailure."""
        started = time.perf_counter()
        try:
            with tracing.span("inference", model=engine.model):
                return score(await engine.first_token(picture, self._question, deadline.left()))
        except UnusableDistribution as error:
            raise EngineFailure("invalid", "not_a_distribution") from error
        finally:
            metrics.took(time.perf_counter() - started)

    async def _prove(self, engine: VisionEngine, deadline: Deadline) -> None:
        """A calibration holds for one model: another one under its name must not be called calibrated."""
        if self._proven or self.release is None:
            return
        nothing = encode(null_image(self._view), self._view)
        answered = (await self._ask(engine, nothing, deadline)).logit
        if answered is None or abs(answered - self.release.manifest.calibration.null_logit) > SAME_MODEL:
            raise EngineFailure("invalid", "other_model")
        self._proven = True

    def _respond(self, verdict: Verdict) -> VerdictResponse:
        return VerdictResponse(
            answer=verdict.answer,
            confidence=verdict.confidence,
            p_yes=verdict.p_yes,
            logprobs=Logprobs(yes=verdict.logprob_yes, no=verdict.logprob_no),
            answer_mass=verdict.answer_mass,
            model=self.model,
            **self._calibrated(verdict),
        )

    def _calibrated(self, verdict: Verdict) -> dict[str, Any]:
        """What fusion weighs; nothing without a release, or when the model mostly said something else."""
        if self.release is None or verdict.logit is None:
            return {}
        told = self.release.manifest
        cut = told.thresholds.get("sensitivity_95")
        return {
            "melanoma": told.calibration.melanoma(verdict.logit),
            "logit": told.calibration.logit(verdict.logit),
            "logit_sd": told.fold.logit_sd,
            "prevalence": told.fold.prevalence,
            "threshold_95": cut.value if cut else None,
            "specificity_95": cut.specificity if cut else None,
        }

    async def close(self) -> None:
        """Let go of threads and connections."""
        self._decoders.close()
        if self.engine is not None:
            await self.engine.close()


def reencode(data: bytes, view: View = LLAMA) -> bytes:
    """Any accepted picture to a fresh upright one without metadata, as the engine is to see it."""
    return encode(prepare(images.decode(data, view.size), view), view)
