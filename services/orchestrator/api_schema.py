"""What FastAPI cannot see of the assessment's body, for /openapi.json."""

from typing import Any

from fusion.prompt import LANGUAGES
from services.common.settings import Settings

LIMIT = f"at most {Settings.model_fields['max_body_mb'].default:.0f} MB and 50 megapixels"

ASSESSMENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "additionalProperties": False,
                    "properties": {
                        "image": {
                            "type": "string",
                            "format": "binary",
                            "description": f"JPEG, PNG, WebP or HEIC; {LIMIT}",
                        },
                        "questionnaire": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "description": "JSON object of question id to answer; see GET /v1/questionnaire",
                            "examples": ['{"age": 47, "sex": "female", "prior_melanoma": "no"}'],
                        },
                        "modality": {
                            "type": "string",
                            "enum": ["auto", "dermoscopy", "photograph"],
                            "default": "auto",
                        },
                        "language": {
                            "type": "string",
                            "enum": list(LANGUAGES),
                            "default": "en",
                            "description": "of the hosted model's explanation; `risk.language` says what came",
                        },
                    },
                },
                "encoding": {"image": {"contentType": "image/jpeg, image/png, image/webp, image/heic"}},
            }
        },
    }
}

REPRESENTATIONS: dict[str, Any] = {
    "description": (
        "The assessment; as a FHIR R4B Bundle to who accepts application/fhir+json, and part by part to who accepts "
        "text/event-stream: `finding` (one key of `findings`), then `assessment` or `problem`"
    ),
    "content": {
        "application/fhir+json": {"schema": {"type": "object", "title": "FHIR R4B Bundle"}},
        "text/event-stream": {"schema": {"type": "string", "title": "Server-sent events"}},
    },
}
