"""Between the messages and the rules: used by the fusion service, and by the orchestrator when that is down."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import structlog

from fusion import questionnaire, rules
from fusion.picture import ImageEvidence
from fusion.policy import DEFAULT, Thresholds
from fusion.rules import Decision
from fusion.stack import Stack, StackError
from services.common import metrics
from services.common.settings import Settings
from services.contracts import (
    AnsweredFactor,
    ClassifyResponse,
    Contribution,
    FuseRequest,
    FuseResponse,
    FusionInfo,
    QuestionnaireFinding,
    Risk,
    VerdictResponse,
)

RELEASED_STACK = Path(__file__).resolve().parents[2] / "models" / "released" / "fusion" / "stack.json"


@dataclass(frozen=True)
class Rules:
    """The rules as this installation has set them."""

    prior: float
    thresholds: Thresholds = DEFAULT
    stack: Stack | None = None
    stack_sha256: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """Ends the process with words when the stack that was named cannot be used."""
        thresholds = Thresholds(
            high_melanoma=settings.high_melanoma,
            high_malignant=settings.high_malignant,
            moderate_melanoma=settings.moderate_melanoma,
            moderate_malignant=settings.moderate_malignant,
        )
        path = Path(settings.stack) if settings.stack else RELEASED_STACK
        try:
            stack = Stack.load(path)
        except StackError as error:
            raise SystemExit(f"MELALOG_STACK: {error}") from None
        if stack is None and settings.stack:
            raise SystemExit(f"MELALOG_STACK: {path} does not exist")
        return cls(settings.prior, thresholds, stack, hashlib.sha256(path.read_bytes()).hexdigest() if stack else "")

    def note(self) -> None:
        """For `GET /metrics`: which stack is in use, if any."""
        if self.stack is not None:
            metrics.note_model("stack", str(self.stack.schema_version), self.stack_sha256)

    @property
    def about(self) -> dict[str, object]:
        """For GET /v1/model."""
        pair = {"classifier": self.stack.classifier_sha256, "vlm": self.stack.vlm_sha256} if self.stack else None
        return {"questionnaire": questionnaire.load().version, "prior": self.prior, "stack": pair}


def decide(request: FuseRequest, in_force: Rules) -> Decision:
    """Apply the rules to a request. Raises questionnaire.InvalidAnswers."""
    asked = questionnaire.load()
    case = rules.Case(
        answers=asked.parse(request.answers, ignore_unknown=True),
        modality=request.modality,
        classifier=_of_classifier(request.classifier),
        vlm=_of_vlm(request.vlm),
        picture_poor=request.picture.quality == "poor",
        out_of_distribution=request.classifier.status == "ok" and request.classifier.in_distribution is False,
        modality_doubted=request.modality == "dermoscopy" and request.classifier.modality == "photograph",
        stack=_fitting(in_force.stack, request),
    )
    return rules.decide(case, asked, in_force.prior, in_force.thresholds)


def _fitting(stack: Stack | None, request: FuseRequest) -> Stack | None:
    """The stack, if it was fitted for the pair of models that answered."""
    if stack is None or request.classifier.model is None or request.classifier.model.sha256 is None:
        return None
    answered = request.vlm.model if request.vlm.status == "ok" else None
    if stack.fits(request.classifier.model.sha256, answered.sha256 if answered else None):
        return stack
    structlog.get_logger().warning("no stack for these models", dependency="stack", reason="other_models")
    return None


def _of_classifier(finding: ClassifyResponse) -> ImageEvidence | None:
    if finding.status != "ok" or finding.melanoma is None or finding.prevalence is None:
        return None
    return ImageEvidence(
        melanoma=finding.melanoma,
        prevalence=finding.prevalence,
        malignant=finding.malignant,
        malignant_prevalence=finding.malignant_prevalence,
        logit_sd=finding.logit_sd,
        threshold_95=finding.threshold_95,
        specificity_95=finding.specificity_95,
        malignant_threshold=finding.malignant_threshold_95,
        malignant_specificity=finding.malignant_specificity_95,
    )


def _of_vlm(finding: VerdictResponse) -> ImageEvidence | None:
    """Only a calibrated value counts: raw Yes and No probabilities are not risks."""
    if finding.status != "ok" or finding.melanoma is None or finding.prevalence is None:
        return None
    return ImageEvidence(
        melanoma=finding.melanoma,
        prevalence=finding.prevalence,
        logit_sd=finding.logit_sd,
        threshold_95=finding.threshold_95,
        specificity_95=finding.specificity_95,
    )


def respond(
    decision: Decision, explanation: str | None, info: FusionInfo, *, llm_failed: bool = False, language: str = "en"
) -> FuseResponse:
    """The decision as a message; `explanation`, in that `language`, replaces the rules' own words."""
    risk = Risk(
        level=decision.level,
        melanoma=decision.melanoma,
        malignant=decision.malignant,
        interval=decision.interval,
        raised_by=decision.raised_by,
        headline=decision.headline,
        advice=decision.advice,
        explanation=explanation or decision.explanation,
        language=language if explanation else "en",
        reasons=tuple(reason.text for reason in decision.reasons),
        questions_for_doctor=decision.questions_for_doctor,
        contributions=tuple(
            Contribution.model_validate({"id": name, "log_odds": value})
            for name, value in decision.contributions.items()
        ),
    )
    factors = tuple(
        AnsweredFactor(id=f.id, answer=f.answer, likelihood_ratio=f.likelihood_ratio, source=f.source)
        for f in (*decision.lesion.factors, *decision.person.factors)
    )
    finding = QuestionnaireFinding(
        version=questionnaire.load().version, likelihood_ratio=decision.likelihood_ratio, factors=factors
    )
    info = info.model_copy(update={"stacked": decision.stacked})
    return FuseResponse(risk=risk, questionnaire=finding, fusion=info, llm_failed=llm_failed)
