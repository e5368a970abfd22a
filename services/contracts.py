"""The messages between services and the public answer (docs/architecture.md).

Fields are added, never renamed, removed or given another meaning. Unknown fields are ignored, so that
versions can be mixed in a rolling update.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["ok", "unavailable", "timeout", "invalid"]
Modality = Literal["dermoscopy", "photograph"]
Level = Literal["low", "moderate", "high"]
Probability = float


class Message(BaseModel):
    """Base of every message: frozen, tolerant of fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class ModelInfo(Message):
    """Which model answered."""

    name: str
    version: str
    sha256: str | None = None


class ClassifierFinding(Message):
    """What the classifier saw. Probabilities are calibrated at the prevalence in the model's manifest."""

    status: Status = "ok"
    melanoma: Probability | None = Field(None, ge=0, le=1)
    malignant: Probability | None = Field(None, ge=0, le=1)
    classes: dict[str, Probability] | None = None
    in_distribution: bool | None = None
    modality: Modality | None = Field(None, description="how the picture was taken, where that could be told")
    heatmap: str | None = Field(None, description="PNG, base64; only with ?heatmap=true")
    model: ModelInfo | None = None


class PictureFinding(Message):
    """Whether the picture is good enough to judge."""

    quality: Literal["good", "poor", "unknown"] = "unknown"
    problems: tuple[Literal["blurred", "dark", "bright", "flat"], ...] = ()


class ClassifyResponse(ClassifierFinding):
    """Answer of `POST /v1/classify`: the public finding and what fusion needs to weigh it."""

    picture: PictureFinding = PictureFinding()
    logit: float | None = None
    logit_sd: float | None = Field(None, ge=0)
    prevalence: float | None = Field(None, gt=0, lt=1)
    malignant_prevalence: float | None = Field(None, gt=0, lt=1)
    threshold_95: float | None = None
    specificity_95: float | None = None
    malignant_threshold_95: float | None = None
    malignant_specificity_95: float | None = None
    ood_score: float | None = None
    embedding: tuple[float, ...] | None = None

    @property
    def complete(self) -> bool:
        """Whether `ok` is borne out: an answer that says nothing must not pass for a finding."""
        return None not in (self.melanoma, self.malignant, self.classes, self.prevalence)


class Logprobs(Message):
    """Raw summed logprobs of the Yes and of the No variants."""

    yes: float | None = None
    no: float | None = None


class VlmFinding(Message):
    """What the vision-language model answered, and how sure it was."""

    status: Status = "ok"
    answer: Literal["Yes", "No", "Unsure"] | None = None
    confidence: Probability | None = Field(None, ge=0, le=1)
    melanoma: Probability | None = Field(None, ge=0, le=1)
    p_yes: Probability | None = Field(None, ge=0, le=1)
    logprobs: Logprobs | None = None
    answer_mass: Probability | None = Field(None, ge=0, le=1)
    model: ModelInfo | None = None


class VerdictResponse(VlmFinding):
    """Answer of `POST /v1/verdict`."""

    logit: float | None = None
    logit_sd: float | None = Field(None, ge=0)
    prevalence: float | None = Field(None, gt=0, lt=1)
    threshold_95: float | None = None
    specificity_95: float | None = None
    reason: str | None = Field(None, description="why the status is not ok, as a fixed word")

    @property
    def complete(self) -> bool:
        """Whether `ok` is borne out: an answer that says nothing must not pass for a finding."""
        return None not in (self.answer, self.answer_mass)


class AnsweredFactor(Message):
    """One answer and what it is worth for this lesion."""

    id: str
    answer: str
    likelihood_ratio: float
    source: str


class QuestionnaireFinding(Message):
    """What the answers are worth together."""

    version: str
    likelihood_ratio: float
    factors: tuple[AnsweredFactor, ...] = ()


class Findings(Message):
    """Everything that was found, part by part."""

    classifier: ClassifierFinding
    vlm: VlmFinding
    picture: PictureFinding
    questionnaire: QuestionnaireFinding


class Contribution(Message):
    """One term of the melanoma risk's log-odds."""

    id: Literal["prior", "age_sex", "person", "lesion", "picture", "cap"]
    log_odds: float


class Risk(Message):
    """The answer: for this person, at the setting's prior. The interval is 90 %."""

    level: Level
    melanoma: Probability = Field(ge=0, le=1)
    malignant: Probability = Field(ge=0, le=1)
    interval: tuple[Probability, Probability]
    raised_by: tuple[str, ...] = ()
    headline: str
    advice: str
    explanation: str
    reasons: tuple[str, ...] = ()
    questions_for_doctor: tuple[str, ...] = ()
    contributions: tuple[Contribution, ...]
    language: str = Field("en", description="of `explanation` and of the hosted model's questions")


class FusionInfo(Message):
    """Who wrote the explanation."""

    engine: Literal["llm", "rules"]
    model: str | None = None
    level_proposed: Level | None = None
    key_reasons: tuple[str, ...] = Field((), description="ids of the reasons the hosted model says weighed most")
    prompt: str | None = Field(None, description="version of what it was asked, and of the schema of its answer")
    stacked: bool = Field(default=False, description="whether classifier and vlm were weighed together, as fitted")


class FuseRequest(Message):
    """Body of `POST /v1/fuse`."""

    answers: dict[str, str | int] = {}
    modality: Modality = "photograph"
    language: str = "en"
    classifier: ClassifyResponse = ClassifyResponse(status="unavailable")
    vlm: VerdictResponse = VerdictResponse(status="unavailable")
    picture: PictureFinding = PictureFinding()


class FuseResponse(Message):
    """Answer of `POST /v1/fuse`."""

    risk: Risk
    questionnaire: QuestionnaireFinding
    fusion: FusionInfo
    llm_failed: bool = False


class Assessment(Message):
    """Answer of `POST /v1/assessments`."""

    id: str
    created_at: datetime
    modality: Modality
    risk: Risk
    findings: Findings
    fusion: FusionInfo
    degraded: tuple[Literal["classifier", "vlm", "fusion", "llm"], ...] = ()
    disclaimer: str
