"""What the hosted model may do to an answer, held by code: explain it, ask, and raise its level by one step."""

import json
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fusion import checks, policy, prompt, wording
from fusion.briefing import Briefing
from fusion.policy import LEVELS, Level
from fusion.rules import Decision

RAISED_BY = "llm"
NO_REASONS = {"prior", "picture.less_melanoma", "picture.undecided", "picture.held_back", "picture.unjudged"}
"""What speaks for nothing, or against: these alone raise no level."""


class UnusableAnswer(ValueError):  # noqa: N818
    """The hosted model's answer breaks a rule.

    The message says which and quotes nothing; `rule` is a fixed word, `proposed` its level where one could be read.
    """

    def __init__(self, rule: str, message: str, proposed: Level | None = None) -> None:
        super().__init__(message)
        self.rule, self.proposed = rule, proposed


Question = Annotated[
    str, AfterValidator(checks.plain), Field(min_length=prompt.QUESTION_MIN, max_length=prompt.QUESTION_MAX)
]


class HostedAnswer(BaseModel):
    """What the hosted model may say. It supplies no number; `level` counts only as `apply` lets it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    level: Level
    key_reasons: Annotated[tuple[str, ...], Field(max_length=prompt.REASONS)]
    explanation: Annotated[
        str,
        AfterValidator(checks.plain),
        Field(min_length=prompt.EXPLANATION_MIN, max_length=prompt.EXPLANATION_MAX),
    ]
    questions_for_doctor: Annotated[tuple[Question, ...], Field(max_length=prompt.QUESTIONS)]


def parse(text: str, briefing: Briefing) -> HostedAnswer:
    """Read an answer and hold it to the rules. Raises UnusableAnswer."""
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = HostedAnswer.model_validate_json(text[start : end + 1])
    except ValidationError as error:
        wrong = "it is not one JSON object by the schema, within its lengths"
        raise UnusableAnswer("schema", wrong, _level_in(text[start : end + 1])) from error
    if set(answer.key_reasons) - set(briefing.reasons):
        raise UnusableAnswer("invented_id", "key_reasons has an id that is not among the reasons", answer.level)
    measures = checks.measures_in(" ".join(briefing.reasons.values()))
    shown_beside = raised(briefing.decision.level, answer)
    for said in (answer.explanation, *answer.questions_for_doctor):
        if rule := checks.broken(said, shown_beside, briefing.figures, briefing.language, measures):
            raise UnusableAnswer(rule, checks.WRONG[rule], answer.level)
    if not all(question.endswith("?") for question in answer.questions_for_doctor):
        raise UnusableAnswer("no_question", "what is in questions_for_doctor must be questions", answer.level)
    return answer


def _level_in(text: str) -> Level | None:
    """The level of an answer that cannot be used: it is recorded all the same."""
    try:
        said = json.loads(text)
        return next((level for level in LEVELS if said["level"] == level), None)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def raised(level: Level, answer: HostedAnswer) -> Level:
    """The level with the hosted model's say: one step up if it proposes a higher one and gives a reason."""
    higher = LEVELS.index(answer.level) > LEVELS.index(level)
    return policy.step_up(level) if higher and set(answer.key_reasons) - NO_REASONS else level


def apply(decision: Decision, answer: HostedAnswer) -> Decision:
    """The decision at the level that results; headline, advice and questions follow it. No number ever changes."""
    level = raised(decision.level, answer)
    if level != decision.level:
        decision = replace(
            decision,
            level=level,
            raised_by=(*decision.raised_by, RAISED_BY),
            headline=wording.HEADLINES[level],
            advice=wording.ADVICE[level],
            questions_for_doctor=wording.QUESTIONS[level],
        )
    return decision


def with_questions(decision: Decision, answer: HostedAnswer) -> Decision:
    """Its questions behind ours: none of ours is lost."""
    ours = decision.questions_for_doctor
    return replace(decision, questions_for_doctor=tuple(dict.fromkeys((*ours, *answer.questions_for_doctor))))
