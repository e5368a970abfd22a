"""The questionnaire: versioned data in questionnaire.json, and the only way answers get in."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

UNSURE = "unsure"


class Evidence(BaseModel):
    """What is known of a risk factor: relative risk against its absence, and how common it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    cluster: str
    relative_risk: float
    prevalence: float
    source: str


class Question(BaseModel):
    """One question. `integer` takes minimum and maximum, `choice` takes choices."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    type: Literal["integer", "choice"]
    text: str
    help: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    evidence: Evidence | None = None


class InvalidAnswers(ValueError):  # noqa: N818  (what it is, as elsewhere in the tree)
    """Answers that cannot be used: `problems` has (question id, message) pairs, and no value of an answer."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in problems))
        self.problems = problems


class Answers(BaseModel):
    """Validated answers. `unsure` and a missing answer are the same: None, or absent from `factors`."""

    model_config = ConfigDict(frozen=True)
    age: int | None = None
    sex: Literal["female", "male"] | None = None
    factors: dict[str, Literal["yes", "no"]] = {}


class Questionnaire(BaseModel):
    """All questions of one version."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: str
    questions: tuple[Question, ...]

    def parse(self, raw: Mapping[str, Any], *, ignore_unknown: bool = False) -> Answers:
        """Validate a flat {id: value} object. Raises InvalidAnswers naming every field that is wrong.

        `ignore_unknown` is for messages between services, where another version may know more questions.
        """
        known = {question.id: question for question in self.questions}
        problems = [(field, "there is no such question") for field in raw if field not in known]
        if ignore_unknown:
            problems = []
        given: dict[str, Any] = {}
        for field, value in raw.items():
            if field in known and value is not None:
                if message := _check(known[field], value):
                    problems.append((field, message))
                elif value != UNSURE:
                    given[field] = value
        if problems:
            raise InvalidAnswers(problems)
        age, sex = given.pop("age", None), given.pop("sex", None)
        return Answers(age=age, sex=sex, factors=given)


def _check(question: Question, value: object) -> str | None:
    """What is wrong with a value, or None."""
    if question.type == "choice":
        if isinstance(value, str) and value in question.choices:
            return None
        return f"must be one of {', '.join(question.choices)}"
    low, high = question.minimum, question.maximum
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and (low is None or value >= low) and (high is None or value <= high):  # type: ignore[operator]
        return None
    return f"must be a whole number from {low} to {high}"


@cache
def load() -> Questionnaire:
    """The questionnaire this version of Melalog asks."""
    return Questionnaire.model_validate_json(files("fusion").joinpath("questionnaire.json").read_text())
