"""Between the messages and the rules: used by the fusion service, and by the orchestrator when that is down."""

from fusion import questionnaire, rules
from fusion.picture import ImageEvidence
from fusion.rules import Decision
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


def decide(request: FuseRequest, prior: float) -> Decision:
    """Apply the rules to a request. Raises questionnaire.InvalidAnswers."""
    asked = questionnaire.load()
    case = rules.Case(
        answers=asked.parse(request.answers, ignore_unknown=True),
        modality=request.modality,
        classifier=_of_classifier(request.classifier),
        vlm=_of_vlm(request.vlm),
        picture_poor=request.picture.quality == "poor",
        out_of_distribution=request.classifier.status == "ok" and request.classifier.in_distribution is False,
    )
    return rules.decide(case, asked, prior)


def _of_classifier(finding: ClassifyResponse) -> ImageEvidence | None:
    if finding.status != "ok" or finding.melanoma is None or finding.prevalence is None:
        return None
    return ImageEvidence(
        melanoma=finding.melanoma,
        prevalence=finding.prevalence,
        malignant=finding.malignant,
        malignant_prevalence=finding.malignant_prevalence,
        logit_sd=finding.logit_sd,
    )


def _of_vlm(finding: VerdictResponse) -> ImageEvidence | None:
    """Only a calibrated value counts: raw Yes and No probabilities are not risks."""
    if finding.status != "ok" or finding.melanoma is None or finding.prevalence is None:
        return None
    return ImageEvidence(melanoma=finding.melanoma, prevalence=finding.prevalence, logit_sd=finding.logit_sd)


def respond(decision: Decision, explanation: str | None, info: FusionInfo, *, llm_failed: bool = False) -> FuseResponse:
    """The decision as a message; `explanation` replaces the rules' own words."""
    risk = Risk(
        level=decision.level,
        melanoma=decision.melanoma,
        malignant=decision.malignant,
        interval=decision.interval,
        raised_by=decision.raised_by,
        headline=decision.headline,
        advice=decision.advice,
        explanation=explanation or decision.explanation,
        reasons=decision.reasons,
        questions_for_doctor=decision.questions_for_doctor,
        contributions=tuple(
            Contribution.model_validate({"id": name, "log_odds": value})
            for name, value in decision.contributions.items()
        ),
    )
    factors = tuple(
        AnsweredFactor(id=f.id, answer=f.answer, likelihood_ratio=f.likelihood_ratio, source=f.source)
        for f in decision.person.factors
    )
    finding = QuestionnaireFinding(
        version=questionnaire.load().version, likelihood_ratio=decision.person.likelihood_ratio, factors=factors
    )
    return FuseResponse(risk=risk, questionnaire=finding, fusion=info, llm_failed=llm_failed)
