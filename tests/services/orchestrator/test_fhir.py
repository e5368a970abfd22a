"""A bundle of parts that failed: each says so, none has a value."""

import uuid
from datetime import UTC, datetime

import pytest
from fhir.resources.R4B.bundle import Bundle

from services.contracts import (
    Assessment,
    ClassifierFinding,
    Contribution,
    Findings,
    FusionInfo,
    PictureFinding,
    QuestionnaireFinding,
    Risk,
    Status,
    VlmFinding,
)
from services.orchestrator import fhir


def assessment(classifier: ClassifierFinding, vlm: VlmFinding) -> Assessment:
    risk = Risk(
        level="moderate", melanoma=0.0000001, malignant=1.0, interval=(0.0, 1.0), raised_by=("no_classifier",),
        headline="h", advice="a", explanation="e", contributions=(Contribution(id="prior", log_odds=-3.7),),
    )  # fmt: skip
    return Assessment(
        id=str(uuid.uuid4()), created_at=datetime.now(UTC), modality="photograph", risk=risk, disclaimer="d",
        findings=Findings(
            classifier=classifier, vlm=vlm, picture=PictureFinding(),
            questionnaire=QuestionnaireFinding(version="1", likelihood_ratio=1.0),
        ),
        fusion=FusionInfo(engine="rules"), degraded=("classifier",),
    )  # fmt: skip


@pytest.mark.parametrize("status", ["unavailable", "timeout", "invalid"])
def test_a_part_that_failed_has_a_reason_and_no_value(status: Status) -> None:
    vlm = VlmFinding(answer="No", confidence=0.8, answer_mass=0.9)
    found = fhir.bundle(assessment(ClassifierFinding(status=status), vlm), {})
    again = Bundle.model_validate_json(found.model_dump_json())
    observed = {
        e.resource.code.text: e.resource for e in again.entry if e.resource.get_resource_type() == "Observation"
    }
    failed = observed["Melanoma probability by the classifier"]
    assert failed.dataAbsentReason.text == status
    assert failed.valueQuantity is None
    assert failed.component is None
    assert observed["Quality of the picture"].dataAbsentReason is not None
    assert observed["Signs of melanoma by the vision-language model"].valueString == "No"
    notes = [
        note.text for e in again.entry if e.resource.get_resource_type() == "RiskAssessment" for note in e.resource.note
    ]
    assert "Parts that did not answer: classifier" in notes
    assert "The level was raised by: no_classifier" in notes


def test_answers_of_every_kind_are_kept() -> None:
    found = fhir.bundle(
        assessment(ClassifierFinding(status="timeout"), VlmFinding(status="timeout")),
        {"age": 0, "fair_skin": "unsure", "relatives": ["mother", "sister"]},
    )
    (given,) = [e.resource for e in found.entry if e.resource.get_resource_type() == "QuestionnaireResponse"]
    values = {
        item.linkId: [a.valueInteger if a.valueCoding is None else a.valueCoding.code for a in item.answer]
        for item in given.item
    }
    assert values == {"age": [0], "fair_skin": ["unsure"], "relatives": ["mother", "sister"]}
