"""FHIR R4B over real HTTP: valid by the library's own types, whole, and without an identity."""

import json
from typing import Any

import httpx2
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.questionnaire import Questionnaire

from services.orchestrator import submission
from tests.conftest import Running
from tests.contract.test_assessments import ANSWERS, check_problem
from tests.pictures import encode, lesion

FHIR = "application/fhir+json"


def ask(system: Running, accept: str = FHIR, **options: Any) -> httpx2.Response:
    fields = {
        "data": {"questionnaire": json.dumps(ANSWERS)},
        "files": {"image": ("x.jpg", encode(lesion()))},
        **options,
    }
    return httpx2.post(
        f"{system.url}/v1/assessments", timeout=30, trust_env=False, headers={"accept": accept}, **fields
    )


def parts(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in body["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.fixture(scope="module")
def answered(system: Running) -> dict[str, Any]:
    answer = ask(system, params={"heatmap": "true"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FHIR
    Bundle.model_validate_json(answer.text)
    body: dict[str, Any] = answer.json()
    assert body["id"] == answer.headers["x-request-id"]
    return body


def test_it_says_what_the_json_says(system: Running, answered: dict[str, Any]) -> None:
    plain = ask(system, "application/json").json()["risk"]
    (risk,) = parts(answered, "RiskAssessment")
    melanoma, interval, malignant, _ = risk["prediction"]
    # "Decimal values are expressed as percentages (max = 100)": a fraction would be read as a hundredth of the risk.
    assert melanoma["probabilityDecimal"] == pytest.approx(100 * plain["melanoma"], abs=1e-4)
    assert malignant["probabilityDecimal"] == pytest.approx(100 * plain["malignant"], abs=1e-4)
    edges = [interval["probabilityRange"][side]["value"] for side in ("low", "high")]
    assert edges == pytest.approx([100 * edge for edge in plain["interval"]], abs=1e-4)
    assert "qualitativeRisk" not in melanoma, "the level is not of melanoma alone"
    told = [one for one in risk["prediction"] if "qualitativeRisk" in one]
    assert [one["qualitativeRisk"]["coding"][0]["code"] for one in told] == [plain["level"]]
    assert risk["mitigation"] == plain["advice"]
    assert "not a medical device" in risk["note"][0]["text"]
    (report,) = parts(answered, "DiagnosticReport")
    assert plain["headline"] in report["conclusion"]
    assert "not a medical device" in report["conclusion"]


def test_the_answers_come_back_by_question(answered: dict[str, Any]) -> None:
    (given,) = parts(answered, "QuestionnaireResponse")
    found = {item["linkId"]: item["answer"] for item in given["item"]}
    assert found["age"] == [{"valueInteger": 67}]
    assert found["sex"][0]["valueCoding"]["code"] == "male"
    assert "parkinsons" not in found  # null is no answer
    assert given["questionnaire"].split("|")[1]


def test_every_reference_leads_to_a_part_of_the_bundle(answered: dict[str, Any]) -> None:
    urls = {entry["fullUrl"] for entry in answered["entry"]}
    assert len(urls) == len(answered["entry"])
    referred = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "reference" in node:
                referred.add(node["reference"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(answered["entry"])
    assert referred <= urls
    kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in answered["entry"]}
    basis = [kinds[one["reference"]] for one in parts(answered, "RiskAssessment")[0]["basis"]]
    assert sorted(set(basis)) == ["Observation", "QuestionnaireResponse"]
    assert {"Media", "Observation", "RiskAssessment"} <= {kinds[url] for url in referred}


def test_nobody_is_identified(answered: dict[str, Any]) -> None:
    assert not parts(answered, "Patient")
    for kind in ("RiskAssessment", "Observation", "DiagnosticReport"):
        for part in parts(answered, kind):
            assert set(part["subject"]) == {"type", "display"}
            assert not {"identifier", "encounter", "performer"} & part.keys()


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        (FHIR, FHIR),
        ("application/json;q=0.5, application/fhir+json", FHIR),
        ("application/fhir+json;q=0.5, application/json;q=0.5", "application/json"),
        ("application/json;q=0, */*", FHIR),
        ("APPLICATION/FHIR+JSON ; Q=1", FHIR),
    ],
)
def test_the_client_chooses(accept: str | None, given: str) -> None:
    assert submission.check_accept(accept) == given


def test_the_questionnaire_is_the_one_that_answers_refer_to(system: Running, answered: dict[str, Any]) -> None:
    asked = httpx2.get(f"{system.url}/v1/questionnaire", headers={"accept": FHIR})
    assert asked.headers["content-type"] == FHIR
    Questionnaire.model_validate_json(asked.text)
    told = asked.json()
    assert parts(answered, "QuestionnaireResponse")[0]["questionnaire"] == f"{told['url']}|{told['version']}"
    plain = httpx2.get(f"{system.url}/v1/questionnaire").json()
    assert [item["linkId"] for item in told["item"]] == [question["id"] for question in plain["questions"]]
    check_problem(httpx2.get(f"{system.url}/v1/questionnaire", headers={"accept": "text/html"}), 406)


def test_errors_stay_problems(system: Running) -> None:
    check_problem(ask(system, files={"image": ("x.jpg", b"no picture")}), 415)
    check_problem(ask(system, "application/fhir+json;q=0"), 406)


def test_openapi_names_both_representations(system: Running) -> None:
    route = httpx2.get(f"{system.url}/openapi.json").json()["paths"]["/v1/assessments"]["post"]
    assert {"application/json", FHIR} <= route["responses"]["200"]["content"].keys()
