"""What the hosted model is given of a case: codes and numbers by type, so that no free text can be among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fusion.questionnaire import UNSURE, Questionnaire
from fusion.rules import Decision
from fusion.wording import percent

Status = Literal["ok", "unavailable", "timeout", "invalid"]
Diagnosis = Literal["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
"""The public data sets' codes. Other class names are dropped: a name is free text."""
Share = Annotated[float, Field(ge=0, le=1)]
AGES = ((20, "under twenty"), (40, "twenty to thirty-nine"), (60, "forty to fifty-nine"), (80, "sixty to seventy-nine"))
OLDEST = "eighty or older"
"""Bands in words: an exact age helps to identify a person, and a number could come back as one of our figures."""


def _public_classes(classes: object) -> object:
    if not isinstance(classes, Mapping):
        return {}
    return {name: share for name, share in classes.items() if name in get_args(Diagnosis)}


class _Coded(BaseModel):
    """Unknown fields of a finding, a model's name among them, are dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class CodedClassifier(_Coded):
    """The classifier's finding, calibrated."""

    status: Status = "unavailable"
    melanoma: Share | None = None
    malignant: Share | None = None
    classes: Annotated[dict[Diagnosis, Share], BeforeValidator(_public_classes)] = {}
    in_distribution: bool | None = None


class CodedVlm(_Coded):
    """The vision-language model's answer; `melanoma` is calibrated."""

    status: Status = "unavailable"
    answer: Literal["Yes", "No", "Unsure"] | None = None
    confidence: Share | None = None
    melanoma: Share | None = None


class CodedImage(_Coded):
    """Whether the image could be judged."""

    quality: Literal["good", "poor", "unknown"] = "unknown"
    problems: tuple[Literal["blurred", "dark", "bright", "flat"], ...] = ()


class CodedFindings(_Coded):
    """The findings on the image, as codes and calibrated values."""

    modality: Literal["dermoscopy", "photograph"] = "photograph"
    classifier: CodedClassifier = CodedClassifier()
    vlm: CodedVlm = CodedVlm()
    picture: CodedImage = CodedImage()


@dataclass(frozen=True)
class Briefing:
    """One case for the hosted model: our decision, coded answers, findings and the language to write in."""

    decision: Decision
    answers: Mapping[str, str | int]
    findings: CodedFindings
    language: str = "en"

    @property
    def reasons(self) -> dict[str, str]:
        """Our own sentences by id; only these may be cited."""
        return {reason.id: reason.text for reason in self.decision.reasons}

    @property
    def figures(self) -> dict[str, str]:
        """The only numbers that may be quoted, as the app shows them: a small risk is never "0.0 %"."""
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
                if name != "age_sex"  # it would reveal the age to five years
            },
            "answers": dict(self.answers),
            "findings": _rounded(self.findings.model_dump(exclude_none=True)),
            "reasons": self.reasons,
        }


def coded(raw: Mapping[str, Any], questionnaire: Questionnaire) -> dict[str, str | int]:
    """Valid answers as their codes, the age as a band. `unsure` is left out: it counts as missing."""
    codes: dict[str, str | int] = {}
    for question in questionnaire.questions:
        value = raw.get(question.id)
        if question.id == "age" and isinstance(value, int):
            codes["age"] = next((band for end, band in AGES if value < end), OLDEST)
        elif _is_a_code(value, question.choices):
            codes[question.id] = value
    return codes


def _is_a_code(value: object, choices: tuple[str, ...]) -> TypeGuard[str | int]:
    """One of the choices, or a number where there are none."""
    if not choices:
        return isinstance(value, int)
    return isinstance(value, str) and value in choices and value != UNSURE


def _rounded(value: Any) -> Any:
    """Round floats to two significant digits: the models are no more precise."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return float(f"{value:.2g}") if isinstance(value, float) else value
