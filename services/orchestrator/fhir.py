"""An assessment as a FHIR R4B Bundle: answers, findings, risk and report. No patient identity is known, none is sent.

Probabilities are per cent here: FHIR has RiskAssessment's decimals "expressed as percentages (max = 100)".
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from fhir.resources.R4B.bundle import Bundle, BundleEntry
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.fhirresourcemodel import FHIRResourceModel
from fhir.resources.R4B.media import Media
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse
from fhir.resources.R4B.riskassessment import RiskAssessment

from services.contracts import Assessment, Level, ModelInfo
from services.orchestrator import fhir_findings
from services.orchestrator.fhir_findings import SUBJECT, percent

MEDIA_TYPE = "application/fhir+json"
SNOMED = "http://snomed.info/sct"
LIKELIHOOD = "http://terminology.hl7.org/CodeSystem/risk-probability"
QUESTIONNAIRE = "urn:melalog:questionnaire"
MELANOMA = {"coding": [{"system": SNOMED, "code": "93655004", "display": "Malignant melanoma of skin (disorder)"}]}
MALIGNANT = {"coding": [{"system": SNOMED, "code": "372130007", "display": "Malignant neoplasm of skin (disorder)"}]}
LEVEL = {"text": "Level of this assessment: melanoma, any skin cancer and what was told of the spot"}
DISPLAY: dict[Level, str] = {"low": "Low likelihood", "moderate": "Moderate likelihood", "high": "High likelihood"}


def bundle(assessment: Assessment, answers: Mapping[str, Any]) -> Bundle:
    """The assessment of a submission with these answers, as a collection whose parts refer to one another."""
    told = _Urls(assessment.id)
    findings = fhir_findings.observations(assessment)
    observed = {told(name): finding for name, finding in findings.items()}
    basis = [*observed, told("answers")]
    pictures = {told("heatmap"): _heatmap(assessment)} if assessment.findings.classifier.heatmap else {}
    resources: dict[str, FHIRResourceModel] = {
        told("report"): _report(assessment, observed, told("risk"), pictures),
        told("risk"): _risk(assessment, basis),
        told("answers"): _answers(assessment, answers),
        **observed,
        **pictures,
    }
    return Bundle(
        id=assessment.id,
        type="collection",
        timestamp=assessment.created_at,
        entry=[BundleEntry(fullUrl=url, resource=resource) for url, resource in resources.items()],
    )


class _Urls:
    """Names of the parts of one assessment: the same request id gives the same ones."""

    def __init__(self, assessment: str) -> None:
        self._space = uuid.UUID(assessment)

    def __call__(self, part: str) -> str:
        return f"urn:uuid:{uuid.uuid5(self._space, part)}"


def _references(urls: Iterable[str]) -> list[dict[str, str]]:
    return [{"reference": url} for url in urls]


def _risk(assessment: Assessment, basis: list[str]) -> RiskAssessment:
    """The risk of melanoma with its interval, and of any skin cancer."""
    risk = assessment.risk
    low, high = ({"value": percent(edge), "unit": "%"} for edge in risk.interval)
    level = {"coding": [{"system": LIKELIHOOD, "code": risk.level, "display": DISPLAY[risk.level]}]}
    reasons = "; ".join(f"{one.id} {one.log_odds:+.3f}" for one in risk.contributions)
    return RiskAssessment(
        status="final",
        subject=SUBJECT,
        occurrenceDateTime=assessment.created_at,
        method={"text": _method(assessment)},
        basis=_references(basis),
        prediction=[
            {
                "outcome": MELANOMA,
                "probabilityDecimal": percent(risk.melanoma),
                "rationale": f"Log-odds: {reasons}",
            },
            {"outcome": MELANOMA, "probabilityRange": {"low": low, "high": high}, "rationale": "90 % interval"},
            {"outcome": MALIGNANT, "probabilityDecimal": percent(risk.malignant)},
            {"outcome": LEVEL, "qualitativeRisk": level},
        ],
        mitigation=risk.advice,
        note=[{"text": text} for text in _notes(assessment)],
    )


def _method(assessment: Assessment) -> str:
    """How the number was made; a hosted model never makes it."""
    found = assessment.findings
    models = [_named(model) for model in (found.classifier.model, found.vlm.model) if model]
    seen = f"picture judged by {' and '.join(models)}" if models else "no picture evidence"
    return f"Melalog rules: prior, answers (questionnaire {found.questionnaire.version}), {seen}"


def _named(model: ModelInfo) -> str:
    digest = f" ({model.sha256[:12]})" if model.sha256 else ""
    return f"{model.name} {model.version}{digest}"


def _notes(assessment: Assessment) -> list[str]:
    risk = assessment.risk
    notes = [assessment.disclaimer]
    if risk.raised_by:
        notes.append(f"The level was raised by: {', '.join(risk.raised_by)}")
    if assessment.degraded:
        notes.append(f"Parts that did not answer: {', '.join(assessment.degraded)}")
    return notes


def _answers(assessment: Assessment, answers: Mapping[str, Any]) -> QuestionnaireResponse:
    """What was answered, by question id."""
    version = assessment.findings.questionnaire.version
    return QuestionnaireResponse(
        questionnaire=f"{QUESTIONNAIRE}|{version}",
        status="completed",
        authored=assessment.created_at,
        item=[{"linkId": name, "answer": _values(value)} for name, value in answers.items()] or None,
    )


def _values(value: Any) -> list[dict[str, Any]]:
    """One answer, or several where a question takes several."""
    chosen = value if isinstance(value, list | tuple) else [value]
    return [{"valueInteger": one} if isinstance(one, int) else {"valueCoding": {"code": one}} for one in chosen]


def _heatmap(assessment: Assessment) -> Media:
    return Media(
        status="completed",
        createdDateTime=assessment.created_at,
        content={
            "contentType": "image/png",
            "data": assessment.findings.classifier.heatmap,
            "title": "Where the classifier saw melanoma",
        },
    )


def _report(assessment: Assessment, observed: Iterable[str], risk: str, pictures: Iterable[str]) -> DiagnosticReport:
    """The summary for people. `risk` stands in no field of its own in R4B, so an extension refers to it."""
    told = assessment.risk
    return DiagnosticReport(
        extension=[
            {
                "url": "http://hl7.org/fhir/StructureDefinition/diagnosticReport-risk",
                "valueReference": {"reference": risk},
            }
        ],
        status="final",
        code={"text": "Melanoma risk assessment of a skin lesion"},
        subject=SUBJECT,
        effectiveDateTime=assessment.created_at,
        issued=assessment.created_at,
        result=_references(observed),
        media=[{"link": {"reference": url}} for url in pictures] or None,
        conclusion=" ".join((told.headline + ".", told.advice, told.explanation, assessment.disclaimer)),
    )
