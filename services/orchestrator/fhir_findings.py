"""What the parts found, as FHIR R4B Observations. A part that did not answer says so, and has no value."""

from decimal import Decimal
from typing import Any

from fhir.resources.R4B.observation import Observation

from services.contracts import Assessment, ClassifierFinding, PictureFinding, QuestionnaireFinding, VlmFinding

UCUM = "http://unitsofmeasure.org"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
SUBJECT = {"type": "Patient", "display": "Whoever sent the picture; not identified"}
REASONS = {"unavailable": "not-performed", "timeout": "error", "invalid": "error"}
"""Status of a finding to HL7's reason for data that is absent."""


def observations(assessment: Assessment) -> dict[str, Observation]:
    """By the finding's name."""
    found = assessment.findings
    parts = {
        "classifier": _classifier(found.classifier),
        "vlm": _vlm(found.vlm),
        "picture": _picture(found.picture),
        "questionnaire": _questionnaire(found.questionnaire),
    }
    common = {"status": "final", "subject": SUBJECT, "effectiveDateTime": assessment.created_at}
    return {name: Observation(**common, **part) for name, part in parts.items()}


def percent(p: float) -> Decimal:
    """A probability in per cent, to four decimals."""
    return round(Decimal(100 * p), 4)


def _quantity(p: float) -> dict[str, Any]:
    return {"value": percent(p), "unit": "%", "system": UCUM, "code": "%"}


def _component(text: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"code": {"text": text}, **value}


def _absent(status: str) -> dict[str, Any]:
    return {"dataAbsentReason": {"coding": [{"system": ABSENT, "code": REASONS[status]}], "text": status}}


def _classifier(found: ClassifierFinding) -> dict[str, Any]:
    code = {"code": {"text": "Melanoma probability by the classifier"}}
    if found.status != "ok" or found.melanoma is None:
        return code | _absent(found.status if found.status != "ok" else "invalid")
    parts = [_component(name, {"valueQuantity": _quantity(p)}) for name, p in (found.classes or {}).items()]
    if found.malignant is not None:
        parts.append(_component("malignant", {"valueQuantity": _quantity(found.malignant)}))
    if found.in_distribution is not None:
        parts.append(_component("like what it learned from", {"valueBoolean": found.in_distribution}))
    return code | {"valueQuantity": _quantity(found.melanoma), "component": parts, **_method(found)}


def _vlm(found: VlmFinding) -> dict[str, Any]:
    code = {"code": {"text": "Signs of melanoma by the vision-language model"}}
    if found.status != "ok" or found.answer is None:
        return code | _absent(found.status if found.status != "ok" else "invalid")
    told = {"calibrated probability of melanoma": found.melanoma, "confidence": found.confidence}
    parts = [_component(name, {"valueQuantity": _quantity(p)}) for name, p in told.items() if p is not None]
    return code | {"valueString": found.answer, "component": parts or None, **_method(found)}


def _method(found: ClassifierFinding | VlmFinding) -> dict[str, Any]:
    model = found.model
    if model is None:
        return {}
    digest = f", sha256 {model.sha256}" if model.sha256 else ""
    return {"method": {"text": f"{model.name} {model.version}{digest}"}}


def _picture(found: PictureFinding) -> dict[str, Any]:
    code = {"code": {"text": "Quality of the picture"}}
    parts = [_component("problem", {"valueString": problem}) for problem in found.problems]
    if found.quality == "unknown":
        return code | _absent("unavailable")
    return code | {"valueString": found.quality, "component": parts or None}


def _questionnaire(found: QuestionnaireFinding) -> dict[str, Any]:
    parts = [
        _component(f"{factor.id}: {factor.answer}", {"valueQuantity": {"value": round(factor.likelihood_ratio, 4)}})
        for factor in found.factors
    ]
    return {
        "code": {"text": "Likelihood ratio of the answers together"},
        "valueQuantity": {"value": round(found.likelihood_ratio, 4)},
        "component": parts or None,
    }
