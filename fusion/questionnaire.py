"""The questionnaire: versioned data in questionnaire.json, and the only way answers get in."""

import math
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

UNSURE = "unsure"


class Evidence(BaseModel):
    """A risk factor of the person: relative risk by answer against the other answers (1), and how common each is.

    Factors of one `cluster` overlap and count once. `asks_like`: the question of the cluster that asks nearly the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cluster: str
    relative_risks: dict[str, float]
    prevalences: dict[str, float]
    asks_like: str | None = None

    @property
    def mean(self) -> float:
        """Of the relative risk over the population, which the prior is already about."""
        return 1 + sum(share * (self.relative_risks[answer] - 1) for answer, share in self.prevalences.items())


class Sign(BaseModel):
    """What an answer about the spot itself is worth, as a likelihood ratio. None is below 1: no sign clears nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    likelihood_ratios: dict[str, Annotated[float, Field(ge=1)]]


class Question(BaseModel):
    """One question. `integer` takes minimum and maximum; `choice` takes choices, with labels for people to read."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    section: Literal["you", "spot"]
    type: Literal["integer", "choice"]
    text: str
    help: str
    choices: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    minimum: int | None = None
    maximum: int | None = None
    source: str
    evidence: Evidence | None = None
    sign: Sign | None = None

    @model_validator(mode="after")
    def _answers_exist(self) -> Self:
        told = {*self.labels}
        if self.evidence:
            told |= {*self.evidence.relative_risks, *self.evidence.prevalences}
        if self.sign:
            told |= {*self.sign.likelihood_ratios}
        if told - set(self.choices):
            raise ValueError(f"{self.id} names an answer that is not among its choices")
        return self


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
    factors: dict[str, str] = {}


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

    @cached_property
    def cluster_means(self) -> dict[str, float]:
        """By cluster: the highest of its centred ratios, on average over the population; 1 where there is one question.

        Answers are taken as independent (how they go together is not published); of two that ask alike one counts.
        """
        clusters: dict[str, list[list[tuple[float, float]]]] = {}
        for question in self.questions:
            known = question.evidence
            if known is not None and known.asks_like is None:
                told = [(share, known.relative_risks[answer]) for answer, share in known.prevalences.items()]
                told.append((1 - sum(known.prevalences.values()), 1.0))
                clusters.setdefault(known.cluster, []).append([(share, risk / known.mean) for share, risk in told])
        return {
            name: sum(math.prod(share for share, _ in one) * max(risk for _, risk in one) for one in product(*asked))
            for name, asked in clusters.items()
        }

    def to_fhir(self) -> dict[str, Any]:
        """The questions as a FHIR R4B Questionnaire."""
        items = []
        for question in self.questions:
            item: dict[str, Any] = {"linkId": question.id, "text": question.text, "type": question.type}
            item["item"] = [{"linkId": f"{question.id}.help", "text": question.help, "type": "display"}]
            if question.choices:
                item["answerOption"] = [
                    {"valueCoding": {"code": choice, "display": question.labels.get(choice, choice)}}
                    for choice in question.choices
                ]
            items.append(item)
        name, title = "MelalogQuestionnaire", "Melalog: questions about a person and a spot on the skin"
        head = {"resourceType": "Questionnaire", "status": "active", "version": self.version, "name": name}
        return head | {"title": title, "subjectType": ["Patient"], "item": items}


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
