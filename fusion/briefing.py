"""All that the hosted model is told of a case: codes and numbers by type, so that no free text can be among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fusion.questionnaire import UNSURE, Questionnaire
from fusion.rules import Decision
from fusion.wording import percent

Status = Literal["ok", "unavailable", "timeout", "invalid"]
Diagnosis = Literal["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
"""The public data sets' codes. A class of another name is not told: a name is text from elsewhere."""
Share = Annotated[float, Field(ge=0, le=1)]
AGES = ((20, "under twenty"), (40, "twenty to thirty-nine"), (60, "forty to fifty-nine"), (80, "sixty to seventy-nine"))
OLDEST = "eighty or older"
"""Bands in words: an exact age helps to find a person, and a figure would come back as one of ours."""


def _known(classes: object) -> object:
    if not isinstance(classes, Mapping):
        return {}
    return {name: share for name, share in classes.items() if name in get_args(Diagnosis)}


class _Told(BaseModel):
    """Unknown fields of a finding, a model's name among them, are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Classified(_Told):
    """What the classifier saw, calibrated."""

    status: Status = "unavailable"
    melanoma: Share | None = None
    malignant: Share | None = None
    classes: Annotated[dict[Diagnosis, Share], BeforeValidator(_known)] = {}
    in_distribution: bool | None = None


class Judged(_Told):
    """What the vision-language model answered; `melanoma` is calibrated."""

    status: Status = "unavailable"
    answer: Literal["Yes", "No", "Unsure"] | None = None
    confidence: Share | None = None
    melanoma: Share | None = None


class Picture(_Told):
    """Whether the picture could be judged."""

    quality: Literal["good", "poor", "unknown"] = "unknown"
    problems: tuple[Literal["blurred", "dark", "bright", "flat"], ...] = ()


class Findings(_Told):
    """What was found in the picture, as codes and calibrated values."""

    modality: Literal["dermoscopy", "photograph"] = "photograph"
    classifier: Classified = Classified()
    vlm: Judged = Judged()
    picture: Picture = Picture()


@dataclass(frozen=True)
class Briefing:
    """One case for the hosted model: the decision that stands, coded answers, findings, the language to write in."""

    decision: Decision
    answers: Mapping[str, str | int]
    findings: Findings
    language: str = "en"

    @property
    def reasons(self) -> dict[str, str]:
        """Our own sentences by id: what it may cite."""
        return {reason.id: reason.text for reason in self.decision.reasons}

    @property
    def figures(self) -> dict[str, str]:
        """The only numbers it may quote, worded as the page words them: a small risk is never "0.0 %"."""
        decision = self.decision
        low, high = (percent(bound) for bound in decision.interval)
        return {
            "melanoma": percent(decision.melanoma),
            "melanoma_interval": f"{low} to {high}",
            "any_skin_cancer": percent(decision.malignant),
        }

    def facts(self) -> dict[str, Any]:
        """The data part of the prompt."""
        return {
            "level": self.decision.level,
            "figures": self.figures,
            "raised_by": list(self.decision.raised_by),
            "log_odds": {
                name: round(value, 1)
                for name, value in self.decision.contributions.items()
                if name != "age_sex"  # it would tell the age to five years
            },
            "answers": dict(self.answers),
            "findings": _rounded(self.findings.model_dump(exclude_none=True)),
            "reasons": self.reasons,
        }


def coded(raw: Mapping[str, Any], asked: Questionnaire) -> dict[str, str | int]:
    """Valid answers as their codes, age as a band; `unsure` is not told, since it must count as missing."""
    told: dict[str, str | int] = {}
    for question in asked.questions:
        value = raw.get(question.id)
        if question.id == "age" and isinstance(value, int):
            told["age"] = next((band for end, band in AGES if value < end), OLDEST)
        elif _is_a_code(value, question.choices):
            told[question.id] = value
    return told


def _is_a_code(value: object, choices: tuple[str, ...]) -> TypeGuard[str | int]:
    """One of the choices, or a number where there are none."""
    if not choices:
        return isinstance(value, int)
    return isinstance(value, str) and value in choices and value != UNSURE


def _rounded(value: Any) -> Any:
    """Two significant digits: more is not known."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return float(f"{value:.2g}") if isinstance(value, float) else value
