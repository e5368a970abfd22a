"""`melalog serve --sandbox`: answers at once, in the situation that is asked for. No model is loaded.

The findings are canned; what is made of them, and of the answers sent along, are the real rules.
"""

import asyncio
import base64
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fusion import wording
from services.common.client import DependencyFailure
from services.common.deadline import Deadline
from services.common.errors import (
    FieldError,
    InvalidInput,
    MelalogError,
    Overloaded,
    Unauthenticated,
    UnreadablePicture,
)
from services.contracts import ClassifyResponse, FuseRequest, FuseResponse, FusionInfo, VerdictResponse
from services.orchestrator.core import Assessor
from services.orchestrator.submission import Submission
from services.risk import decide

HEADER = "X-Melalog-Sandbox"
DISCLAIMER = f"SANDBOX: this answer is canned, nobody has looked at the picture. {wording.DISCLAIMER}"
MODEL = {"name": "sandbox", "version": "0"}
HEATMAP = Path(__file__).with_name("heatmap.png")
MODELS = {name: {"status": "ok", **MODEL} for name in ("classifier", "vlm", "fusion")}


@dataclass(frozen=True)
class Situation:
    """What happens: the classifier's probabilities, what is missing, how long each service takes."""

    melanoma: float = 0.05
    malignant: float = 0.12
    quality: str = "good"
    in_distribution: bool = True
    missing: frozenset[str] = frozenset()
    pause_s: float = 0.0
    refusal: Callable[[], MelalogError] | None = None


SITUATIONS = {
    "low": Situation(melanoma=0.002, malignant=0.01),
    "moderate": Situation(),
    "high": Situation(melanoma=0.85, malignant=0.9),
    "degraded": Situation(missing=frozenset({"classifier"})),
    "no-vlm": Situation(missing=frozenset({"vlm"})),
    "poor": Situation(quality="poor"),
    "strange": Situation(in_distribution=False),
    "slow": Situation(pause_s=1.5),
    "503": Situation(missing=frozenset({"classifier", "vlm"})),
    "422": Situation(
        refusal=partial(UnreadablePicture, "The picture is damaged or incomplete; take or choose another one.")
    ),
    "429": Situation(refusal=partial(Overloaded, "Too many assessments are under way; try again in a moment.", 3)),
    "401": Situation(refusal=partial(Unauthenticated, "Your sign-in has expired; sign in again.", "invalid_token")),
}
DEFAULT = "moderate"
MASS = 0.99


def situation(header: str | None, picture_name: str) -> Situation:
    """By header, else by a word of the picture's name (`high.jpg`, `my-slow-1.png`), else moderate.

    Raises InvalidInput for a header that names none, and what the situation itself is about to raise.
    """
    words = re.split(r"[^a-z0-9-]+", picture_name.lower())
    parts = [*words, *(part for word in words for part in word.split("-"))]
    name = header if header is not None else next((one for one in parts if one in SITUATIONS), DEFAULT)
    if name not in SITUATIONS:
        known = f"must be one of {', '.join(SITUATIONS)}"
        raise InvalidInput("The sandbox knows no such situation.", FieldError(HEADER, known))
    chosen = SITUATIONS[name]
    if chosen.refusal is not None:
        raise chosen.refusal()
    return chosen


class Sandbox:
    """Stands where the assessor stands."""

    def __init__(self, rules: decide.Rules, deadline_s: float) -> None:
        self._rules, self._deadline_s = rules, deadline_s

    def assessor(self, header: str | None, sent: Submission) -> Assessor:
        """One that meets the situation asked for. Raises as `situation` does."""
        nodes = CannedNodes(situation(header, sent.name), self._rules)
        return Assessor(nodes, self._rules, self._deadline_s, DISCLAIMER)


class CannedNodes:
    """The three services, in one situation."""

    def __init__(self, chosen: Situation, rules: decide.Rules) -> None:
        self._chosen, self._rules = chosen, rules

    async def classify(self, *_: Any, heatmap: bool) -> ClassifyResponse:
        """The situation's probabilities, or none."""
        await asyncio.sleep(self._chosen.pause_s)
        self._unless_missing("classifier")
        p, malignant = self._chosen.melanoma, self._chosen.malignant
        found = {
            "melanoma": p, "malignant": malignant, "in_distribution": self._chosen.in_distribution, "model": MODEL,
            "classes": {"mel": p, "bcc": malignant - p, "nv": 1 - malignant}, "modality": "dermoscopy",
            "heatmap": _heatmap() if heatmap else None, "picture": _picture(self._chosen.quality),
            "prevalence": 0.11, "malignant_prevalence": 0.2, "logit_sd": 0.4,
        }  # fmt: skip
        return ClassifyResponse.model_validate(found)

    async def judge(self, *_: Any) -> VerdictResponse:
        """Says what the classifier says, a moment later."""
        await asyncio.sleep(2 * self._chosen.pause_s)
        self._unless_missing("vlm")
        p = self._chosen.melanoma
        found = {
            "answer": "Yes" if p > 0.5 else "No", "confidence": max(p, 1 - p), "melanoma": p, "p_yes": p,  # noqa: PLR2004
            "logprobs": {"yes": math.log(MASS * p), "no": math.log(MASS * (1 - p))},
            "answer_mass": MASS, "model": MODEL, "prevalence": 0.11, "logit_sd": 0.8,
        }  # fmt: skip
        return VerdictResponse.model_validate(found)

    async def fuse(self, request: FuseRequest, _: Deadline) -> FuseResponse:
        """The real rules."""
        await asyncio.sleep(self._chosen.pause_s)
        return decide.respond(decide.decide(request, self._rules), None, FusionInfo(engine="rules"))

    def _unless_missing(self, name: str) -> None:
        if name in self._chosen.missing:
            raise DependencyFailure("unavailable")


def _picture(quality: str) -> dict[str, Any]:
    return {"quality": quality, "problems": ["blurred", "dark"] if quality == "poor" else []}


def _heatmap() -> str:
    return base64.b64encode(HEATMAP.read_bytes()).decode()
