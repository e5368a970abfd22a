"""What the hosted model may change in an answer: it may explain, add questions and raise the level by one step."""

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
"""Reasons that do not speak for a higher risk: these alone raise no level."""


class UnusableAnswer(ValueError):  # noqa: N818
    """The hosted model's answer breaks a rule.

    The message says which and quotes nothing. `rule` is a fixed word, such as a key of checks.WRONG; `proposed` is the
    answer's level where one could be read.
    """

    def __init__(self, rule: str, message: str, proposed: Level | None = None) -> None:
        super().__init__(message)
        self.rule, self.proposed = rule, proposed


DoctorQuestion = Annotated[
    str, AfterValidator(checks.plain), Field(min_length=prompt.QUESTION_MIN, max_length=prompt.QUESTION_MAX)
]


class HostedAnswer(BaseModel):
    """The hosted model's answer. It supplies no number; `apply` decides whether `level` counts."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    level: Level
    key_reasons: Annotated[tuple[str, ...], Field(max_length=prompt.REASONS)]
    explanation: Annotated[
        str,
        AfterValidator(checks.plain),
        Field(min_length=prompt.EXPLANATION_MIN, max_length=prompt.EXPLANATION_MAX),
    ]
    questions_for_doctor: Annotated[tuple[DoctorQuestion, ...], Field(max_length=prompt.QUESTIONS)]


def parse(text: str, briefing: Briefing) -> HostedAnswer:
    """Parse an answer and check it against the rules. Raises UnusableAnswer."""
    start, end = text.find("{"), text.rfind("}")
    try:
        answer = HostedAnswer.model_validate_json(text[start : end + 1])
    except ValidationError as error:
        wrong = "it is not one JSON object that matches the schema and its length limits"
        raise UnusableAnswer("schema", wrong, _level_in(text[start : end + 1])) from error
    if set(answer.key_reasons) - set(briefing.reasons):
        raise UnusableAnswer("invented_id", "key_reasons has an id that is not among the reasons", answer.level)
    measures = checks.measures_in(" ".join(briefing.reasons.values()))
    level = raised(briefing.decision.level, answer)
    for text_shown in (answer.explanation, *answer.questions_for_doctor):
        if rule := checks.broken(text_shown, level, briefing.figures, briefing.language, measures):
            raise UnusableAnswer(rule, checks.WRONG[rule], answer.level)
    if not all(question.endswith("?") for question in answer.questions_for_doctor):
        raise UnusableAnswer("no_question", "each of questions_for_doctor must end with a question mark", answer.level)
    return answer


def _level_in(text: str) -> Level | None:
    """The level of an unusable answer, which is recorded as well."""
    try:
        answer = json.loads(text)
        return next((level for level in LEVELS if answer["level"] == level), None)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def raised(level: Level, answer: HostedAnswer) -> Level:
    """The resulting level: one step up if the answer proposes a higher one and cites a reason for it."""
    higher = LEVELS.index(answer.level) > LEVELS.index(level)
    return policy.step_up(level) if higher and set(answer.key_reasons) - NO_REASONS else level


def apply(decision: Decision, answer: HostedAnswer) -> Decision:
    """The decision at the resulting level, with its headline, advice and questions. No number changes."""
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
    """Append the answer's questions to ours."""
    ours = decision.questions_for_doctor
    return replace(decision, questions_for_doctor=tuple(dict.fromkeys((*ours, *answer.questions_for_doctor))))
