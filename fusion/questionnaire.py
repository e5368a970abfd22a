"""The questionnaire: versioned data in questionnaire.json, and the validation of answers."""

import math
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

UNSURE = "unsure"


class Evidence(BaseModel):
    """A risk factor of the person: relative risk by answer (1 for the others), and the prevalence of each answer.

    Factors of one `cluster` overlap and count once. `asks_like`: a question of the cluster that asks nearly the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cluster: str
    relative_risks: dict[str, float]
    prevalences: dict[str, float]
    asks_like: str | None = None

    @property
    def mean(self) -> float:
        """Population mean of the relative risk, which the prior already includes."""
        return 1 + sum(share * (self.relative_risks[answer] - 1) for answer, share in self.prevalences.items())


class Sign(BaseModel):
    """Likelihood ratio of each answer about the lesion. None is below 1: the absence of a sign lowers nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    likelihood_ratios: dict[str, Annotated[float, Field(ge=1)]]


class QuestionnaireItem(BaseModel):
    """One question. `integer` takes minimum and maximum; `choice` takes choices, with labels to show."""

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
        answers = {*self.labels}
        if self.evidence:
            answers |= {*self.evidence.relative_risks, *self.evidence.prevalences}
        if self.sign:
            answers |= {*self.sign.likelihood_ratios}
        if answers - set(self.choices):
            raise ValueError(f"{self.id} names an answer that is not among its choices")
        return self


class InvalidAnswers(ValueError):  # noqa: N818  (refused input is named for what it is, as in services/common/errors.py)
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
    questions: tuple[QuestionnaireItem, ...]

    def parse(self, raw: Mapping[str, Any], *, ignore_unknown: bool = False) -> Answers:
        """Validate a flat {id: value} object. Raises InvalidAnswers naming every field that is wrong.

        `ignore_unknown` is for messages between services, where the sender's version may have more questions.
        """
        questions = {question.id: question for question in self.questions}
        problems = [(field, "there is no such question") for field in raw if field not in questions]
        if ignore_unknown:
            problems = []
        given: dict[str, Any] = {}
        for field, value in raw.items():
            if field in questions and value is not None:
                if message := _check(questions[field], value):
                    problems.append((field, message))
                elif value != UNSURE:
                    given[field] = value
        if problems:
            raise InvalidAnswers(problems)
        age, sex = given.pop("age", None), given.pop("sex", None)
        return Answers(age=age, sex=sex, factors=given)

    @cached_property
    def cluster_means(self) -> dict[str, float]:
        """By cluster: the population mean of its highest centred ratio; 1 where there is one question.

        Answers are taken as independent (their correlation is not published); of two similar questions one counts.
        """
        clusters: dict[str, list[list[tuple[float, float]]]] = {}
        for question in self.questions:
            evidence = question.evidence
            if evidence is not None and evidence.asks_like is None:
                risks = [(share, evidence.relative_risks[answer]) for answer, share in evidence.prevalences.items()]
                risks.append((1 - sum(evidence.prevalences.values()), 1.0))
                clusters.setdefault(evidence.cluster, []).append(
                    [(share, risk / evidence.mean) for share, risk in risks]
                )
        return {
            name: sum(
                math.prod(share for share, _ in one) * max(risk for _, risk in one) for one in product(*questions)
            )
            for name, questions in clusters.items()
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


def _check(question: QuestionnaireItem, value: object) -> str | None:
    """The message for an invalid value, or None."""
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
    """The questionnaire of this version of Melalog."""
    return Questionnaire.model_validate_json(files("fusion").joinpath("questionnaire.json").read_text())
