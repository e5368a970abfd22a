"""From the first token's raw logprobs to a verdict. Pure; used by every engine and by evaluation.

Answers are matched as whole tokens, and their probabilities are summed over the raw distribution: a maximum after
temperature and top-p is nearly always 1.0, and "no" also occurs inside words.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Answer = Literal["Yes", "No", "Unsure"]

MIN_MASS = 0.5
"""Judgement (docs/evidence.md, section 6.4): below this the answer was mostly neither Yes nor No."""
UNSURE_BAND = 0.1
"""`p_yes` within this of one half is Unsure."""
LEAST_LOGPROB = -500.0
"""No raw softmax goes this low among its likeliest tokens; masks and filters write -9999 or the like."""
ROUNDING = 1e-3
"""Largest effect of servers' rounding on a probability or on the remaining mass."""
_LEAST = 1e-9
"""`p_yes` is clipped to this from 0 and 1 before its log-odds are taken."""
_SPELLINGS = 6
"""Number of tokens that may spell one answer: three cases, with and without a space."""
_SPACES = " \t\n\u0120\u2581"
"""Plain white space, and the marks byte-pair and sentencepiece tokenizers put for a space."""


class UnusableDistribution(ValueError):  # noqa: N818
    """The logprobs cannot be a raw distribution over next tokens; the message says why."""


@dataclass(frozen=True)
class Verdict:
    """Raw scores of one question. `None` where the model never offered that answer."""

    answer: Answer
    confidence: float | None
    p_yes: float | None
    logprob_yes: float | None
    logprob_no: float | None
    answer_mass: float

    @property
    def logit(self) -> float | None:
        """Log-odds of Yes against No, the input of calibration; None without a usable answer."""
        if self.p_yes is None or self.answer_mass < MIN_MASS:
            return None
        p = min(max(self.p_yes, _LEAST), 1 - _LEAST)
        return math.log(p) - math.log1p(-p)


class PlattCalibration(BaseModel):
    """Platt scaling of the log-odds of Yes (Platt 1999), fitted at release: raw answers of such models are not
    probabilities of a disease (docs/evidence.md, section 6.4).

    `null_logit` is the model's log-odds for a uniform grey image (contextual calibration, Zhao et al. 2021). It is
    subtracted first, so that the slope applies to the change by this image; it also identifies the model.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    slope: float = Field(
        gt=0, description="above zero: a model whose Yes is evidence against melanoma is refused, not inverted"
    )
    intercept: float
    null_logit: float

    def logit(self, raw: float) -> float:
        """Raw log-odds of Yes to calibrated log-odds of melanoma at the fold's prevalence."""
        return self.slope * (raw - self.null_logit) + self.intercept

    def melanoma(self, raw: float) -> float:
        """Calibrated probability, at the fold's prevalence."""
        z = self.logit(raw)
        return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def score(top: Iterable[tuple[str, float]]) -> Verdict:
    """Score (token, raw logprob) pairs of the first answer position.

    An answer that is missing from the list has at most the probability of the least token listed for each of
    its spellings, and at most the remaining mass; this bound is used, so that confidence is
    never overstated. Raises UnusableDistribution for an empty list, invalid or masked
    logprobs, and masses over 1.
    """
    listed = _checked(top)
    yes = _mass(listed, "yes")
    no = _mass(listed, "no")
    mass = yes + no
    if mass == 0:
        return Verdict("Unsure", None, None, None, None, 0.0)
    bound = min(mass, _SPELLINGS * min(listed.values()), max(1 - sum(listed.values()), ROUNDING))
    p_yes = (yes or bound) / ((yes or bound) + (no or bound))
    answer: Answer = "Yes" if p_yes > 0.5 else "No"  # noqa: PLR2004
    if mass < MIN_MASS or abs(p_yes - 0.5) < UNSURE_BAND:
        answer = "Unsure"
    confidence = None if answer == "Unsure" else max(p_yes, 1 - p_yes)
    return Verdict(answer, confidence, p_yes, _log(yes), _log(no), min(mass, 1.0))


def _checked(top: Iterable[tuple[str, float]]) -> dict[str, float]:
    listed: dict[str, float] = {}
    for token, logprob in top:
        if not LEAST_LOGPROB < logprob <= ROUNDING:  # false for NaN too
            raise UnusableDistribution("a logprob is above zero, not finite or masked")
        listed[token] = listed.get(token, 0.0) + math.exp(logprob)
    if not listed:
        raise UnusableDistribution("no logprobs were returned")
    if sum(listed.values()) > 1.01:  # noqa: PLR2004
        raise UnusableDistribution("the probabilities sum to more than one")
    return listed


def _mass(listed: Mapping[str, float], word: str) -> float:
    """Probability of all tokens that are this word, whatever their case and leading space."""
    return sum(p for token, p in listed.items() if token.strip(_SPACES).casefold() == word)


def _log(p: float) -> float | None:
    return min(math.log(p), 0.0) if p > 0 else None
