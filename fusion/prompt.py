"""What the hosted model is asked, and what of its answer is let through. Version it: answers depend on it."""

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fusion.policy import LEVELS, Level
from fusion.rules import Decision

VERSION = "2026-11-1"

SYSTEM = (
    "You explain the result of a skin-lesion risk calculation to a lay person. The result is given as JSON and is "
    "final: never contradict it, never change or add a number, never name a diagnosis or a treatment, never say that "
    "the spot is harmless. Write two to four short sentences in plain English that say which findings and answers "
    "weighed most. Answer with one JSON object and nothing else: "
    '{"level": "low|moderate|high" (your own view), "explanation": "…"}.'
)

REASSURANCE = re.compile(
    r"\b(all clear|harmless|benign|good news|no (?:skin )?cancer|not (?:skin )?cancer|cancer[- ]free|nothing to worry|"
    r"no need to (?:see|worry)|don't worry|do not worry|no risk|not dangerous)\b",
    re.IGNORECASE,
)
DIAGNOSIS = re.compile(
    r"\b(you have|this is|diagnos\w+ (?:is|of|as)) (?:a |an )?(?:melanoma|carcinoma|cancer)\b", re.IGNORECASE
)
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


class UnusableAnswer(ValueError):  # noqa: N818
    """The hosted model's answer breaks a rule; the message says which and quotes nothing."""


class HostedAnswer(BaseModel):
    """What the hosted model may say. It supplies no number, and its level changes nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    level: Level
    explanation: str = Field(min_length=20, max_length=1200)


def messages(decision: Decision) -> list[dict[str, str]]:
    """The chat: coded answers and our own numbers only; no free text, no identifier ever goes out."""
    facts: dict[str, Any] = {
        "level": decision.level,
        "melanoma_percent": round(decision.melanoma * 100, 1),
        "interval_percent": [round(bound * 100, 1) for bound in decision.interval],
        "skin_cancer_percent": round(decision.malignant * 100, 1),
        "raised_by": list(decision.raised_by),
        "log_odds": {name: round(value, 1) for name, value in decision.contributions.items()},
        "answers": {factor.id: factor.answer for factor in decision.person.factors},
        "reasons": list(decision.reasons),
    }
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": json.dumps(facts)}]


def parse(text: str, decision: Decision) -> HostedAnswer:
    """Read an answer and hold it to the rules. Raises UnusableAnswer."""
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = HostedAnswer.model_validate_json(text[start : end + 1])
    except ValidationError as error:
        raise UnusableAnswer("not the JSON object that was asked for") from error
    if REASSURANCE.search(answer.explanation):
        raise UnusableAnswer("it reassures")
    if DIAGNOSIS.search(answer.explanation):
        raise UnusableAnswer("it diagnoses")
    for level in LEVELS:
        if level != decision.level and re.search(
            rf"\b{level}[- ]risk\b|\brisk is {level}\b", answer.explanation, re.IGNORECASE
        ):
            raise UnusableAnswer("it contradicts the level")
    allowed = set(NUMBER.findall(json.dumps(messages(decision)[1]["content"])))
    if set(NUMBER.findall(answer.explanation)) - allowed:
        raise UnusableAnswer("it has a number that is not ours")
    return answer
