"""Cases for the hosted model, and what a well-behaved one says of them."""

import json
from dataclasses import replace
from typing import Any

from fusion import questionnaire, rules
from fusion.briefing import Briefing, CodedFindings, coded
from fusion.picture import ImageEvidence
from fusion.policy import Level

ANSWERS = {"age": 71, "sex": "male", "fair_skin": "yes", "prior_melanoma": "no", "sunburns": "unsure"}
FINDINGS = CodedFindings.model_validate(
    {
        "modality": "dermoscopy",
        "classifier": {
            "status": "ok",
            "melanoma": 0.3041,
            "malignant": 0.41,
            "classes": {"mel": 0.3041, "nv": 0.5},
            "in_distribution": True,
        },
        "vlm": {"status": "ok", "answer": "Yes", "confidence": 0.93, "melanoma": 0.2},
        "picture": {"quality": "poor", "problems": ["blurred"]},
    }
)
TOLD = {
    "en": "The picture weighed most here, and the answers on fair skin and family added a little.",
    "de": "Das Bild hat hier am meisten gezählt, und die Antworten zu heller Haut und Familie kamen dazu.",
}
DECISION = replace(
    rules.decide(
        rules.Case(
            answers=questionnaire.load().parse(ANSWERS),
            modality="dermoscopy",
            classifier=ImageEvidence(melanoma=0.3, prevalence=0.1, logit_sd=0.4),
        ),
        questionnaire.load(),
        prior=0.025,
    ),
    level="moderate",
    melanoma=0.0312,
    interval=(0.012, 0.1249),
    malignant=0.06,
    raised_by=(),
)
"""3.1 % (1.2 % to 12 %), any skin cancer 6.0 %."""


def briefing(level: Level = "moderate", language: str = "en", **changed: Any) -> Briefing:
    """A case at this level; further words replace fields of the decision."""
    decision = replace(DECISION, level=level, **changed)
    return Briefing(decision, coded(ANSWERS, questionnaire.load()), FINDINGS, language)


CITED = next(iter(briefing().reasons))
"""An id that may be cited."""


def answered(explanation: object = TOLD["en"], level: object = "moderate", **changed: object) -> dict[str, Any]:
    """An answer by the schema; further words replace or add fields."""
    good = {"level": level, "key_reasons": [CITED], "explanation": explanation, "questions_for_doctor": []}
    return {**good, **changed}


def written(explanation: object = TOLD["en"], level: object = "moderate", **changed: object) -> str:
    """The same as the hosted model writes it."""
    return json.dumps(answered(explanation, level, **changed))
