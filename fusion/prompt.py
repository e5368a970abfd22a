"""What the hosted model is asked, and what of its answer is let through. Version it: answers depend on it."""

import json
import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fusion.policy import LEVELS, Level
from fusion.rules import Decision
from fusion.wording import percent

VERSION = "2026-11-2"

SYSTEM = (
    "You explain the result of a skin-lesion risk calculation to a lay person. The result is given as JSON and is "
    "final: never contradict it, never change or add a number, never name a diagnosis or a treatment, never say that "
    "the spot is harmless. Write two to four short sentences in plain English that say which findings and answers "
    "weighed most. Answer with one JSON object and nothing else: "
    '{"level": "low|moderate|high" (your own view), "explanation": "…"}.'
)

REASSURANCE = re.compile(
    r"\b(?:all clear|harmless|benign|good news|rest assured|reassuring|non-?cancerous|cancer[- ]free|"
    r"(?:no|not|isn't|without)(?: an?| any)?(?: (?:signs?|evidence) of)?(?: skin)? (?:cancer|melanoma|malignan)\w*|"
    r"(?:nothing|no (?:need|cause|reason)|(?:don't|do not) (?:need|have))"
    r" (?:to|for) (?:be )?(?:worry|concern|see|fear)\w*|"
    r"nothing (?:serious|dangerous|wrong)|(?:don't|do not|needn't|need not) (?:worry|be concerned)|"
    r"no (?:danger|risk(?! factor))|(?:not|isn't) (?:dangerous|serious|worrying|a concern)|"
    r"(?:you are|you're|looks|spot is|mole is|it is|it's) (?:perfectly |completely )?(?:fine|safe|normal|healthy)|"
    r"(?<!cannot )(?<!can't )(?<!not )(?<!not be )rule[sd]? out)\b",
    re.IGNORECASE,
)
DIAGNOSIS = re.compile(
    r"\b(?:you have|(?:this|it|spot|lesion|mole|picture)(?: is|'s)|diagnos\w+ (?:is|of|as|with))"
    r"(?: (?:a|an|the|clearly|likely|probably|certainly|definitely|early|skin|basal cell|squamous cell))*"
    r" (?:melanoma|carcinoma|cancer|malignant)\b",
    re.IGNORECASE,
)
LEVEL_WORDS: dict[Level, str] = {
    "low": "low|minimal|negligible|tiny|very small",
    "moderate": "moderate|medium|intermediate",
    "high": "high",
}
NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_COUNT = (
    "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy|"
    "eighty|ninety|(?:a )?hundred|(?:a )?thousand|half|third|quarter)"
)
SPELLED_NUMBER = re.compile(
    rf"\b(?:{_COUNT}[ -](?:percent|per cent|times|in {_COUNT}|out of {_COUNT})|{_COUNT}-?fold|twice|"
    r"(?:doubl|tripl)(?:es|ed|ing))\b",
    re.IGNORECASE,
)


class UnusableAnswer(ValueError):  # noqa: N818
    """The hosted model's answer breaks a rule; the message says which and quotes nothing."""


def _plain(text: str) -> str:
    """One line with plain punctuation: no apostrophe, hyphen or hidden character gets past a rule, or to the page."""
    folded = unicodedata.normalize("NFKC", text).translate({0x2018: "'", 0x2019: "'", 0x2010: "-", 0x2013: "-"})
    return " ".join("".join(c for c in folded if c.isspace() or unicodedata.category(c)[0] != "C").split())


class HostedAnswer(BaseModel):
    """What the hosted model may say. It supplies no number, and its level changes nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    level: Level
    explanation: Annotated[str, AfterValidator(_plain), Field(min_length=20, max_length=1200)]


def messages(decision: Decision) -> list[dict[str, str]]:
    """The chat: coded answers and our own numbers only; no free text, no identifier ever goes out."""
    facts: dict[str, Any] = {
        "level": decision.level,
        "figures": _figures(decision),
        "raised_by": list(decision.raised_by),
        "log_odds": {name: round(value, 1) for name, value in decision.contributions.items()},
        "answers": {factor.id: factor.answer for factor in decision.person.factors},
        "reasons": [reason.text for reason in decision.reasons],
    }
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": json.dumps(facts)}]


def parse(text: str, decision: Decision) -> HostedAnswer:
    """Read an answer and hold it to the rules. Raises UnusableAnswer."""
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = HostedAnswer.model_validate_json(text[start : end + 1])
    except ValidationError as error:
        raise UnusableAnswer("not the JSON object that was asked for") from error
    said = answer.explanation
    if REASSURANCE.search(said):
        raise UnusableAnswer("it reassures")
    if DIAGNOSIS.search(said):
        raise UnusableAnswer("it diagnoses")
    if any(_names(level, said) for level in LEVELS if level != decision.level):
        raise UnusableAnswer("it contradicts the level")
    ours = {figure for told in _figures(decision).values() for figure in NUMBER.findall(told)}
    if set(NUMBER.findall(said)) - ours - {figure.removesuffix(".0") for figure in ours} or SPELLED_NUMBER.search(said):
        raise UnusableAnswer("it has a number that is not ours")
    return answer


def _figures(decision: Decision) -> dict[str, str]:
    """The only numbers an answer may quote, worded as the page words them: a small risk is never "0.0 %"."""
    low, high = (percent(bound) for bound in decision.interval)
    return {
        "melanoma": percent(decision.melanoma),
        "melanoma_interval": f"{low} to {high}",
        "any_skin_cancer": percent(decision.malignant),
    }


def _names(level: Level, said: str) -> bool:
    """Whether a text calls the risk this level."""
    words, risk = f"(?:{LEVEL_WORDS[level]})", "(?:risk|level|chance|probability|likelihood)"
    return bool(
        re.search(rf"\b{words}[- ](?:\w+[- ])?{risk}\b|\b{risk}(?: [\w-]+){{0,3}} {words}\b", said, re.IGNORECASE)
    )
