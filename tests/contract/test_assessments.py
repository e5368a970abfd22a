"""The public contract over real HTTP, against the four services as they are deployed."""

import json
import math
import re
import socket
import time
import uuid
from typing import Any

import httpx2
import pytest
from PIL import Image

from services.contracts import Assessment
from tests.conftest import Running
from tests.pictures import encode, lesion

ANSWERS = {"age": 67, "sex": "male", "fair_skin": "yes", "sunburns": "unsure", "parkinsons": None}


def post(system: Running, image: bytes = b"", name: str = "x.jpg", **options: Any) -> httpx2.Response:
    fields = {"data": {}, "files": {"image": (name, image or encode(lesion()))}, **options}
    return httpx2.post(f"{system.url}/v1/assessments", timeout=30, trust_env=False, **fields)


def check_problem(answer: httpx2.Response, status: int, field: str | None = None) -> dict[str, Any]:
    """Check that an answer is problem+json of this status, naming this field."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"] == f"/problems/{body['code']}"
    assert {"type", "title", "detail", "request_id", "errors"} <= body.keys()
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    if field:
        assert field in [error["field"] for error in body["errors"]]
    return body


def test_an_assessment_has_every_part_of_the_contract(system: Running) -> None:
    answer = post(system, data={"questionnaire": json.dumps(ANSWERS), "modality": "dermoscopy"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    found = Assessment.model_validate(body)
    assert body["id"] == answer.headers["x-request-id"]
    assert set(body) == {"id", "created_at", "modality", "risk", "findings", "fusion", "degraded", "disclaimer"}
    assert body["modality"] == "dermoscopy"
    risk, classifier = found.risk, found.findings.classifier
    assert risk.interval[0] <= risk.melanoma <= risk.interval[1]
    assert risk.melanoma <= risk.malignant
    assert classifier.status == "ok"
    assert classifier.classes is not None
    assert sum(classifier.classes.values()) == pytest.approx(1, abs=1e-4)
    assert classifier.melanoma == pytest.approx(classifier.classes["mel"], abs=1e-6)
    assert classifier.heatmap is None
    assert classifier.in_distribution is False  # drawn, and told from real lesions
    assert "logit" not in body["findings"]["classifier"]
    assert [factor.id for factor in found.findings.questionnaire.factors] == ["fair_skin"]
    vlm = found.findings.vlm
    assert vlm.status == "ok"
    assert vlm.answer in ("Yes", "No", "Unsure")
    assert vlm.melanoma is not None
    assert vlm.logprobs is not None
    assert vlm.logprobs.yes is not None
    assert vlm.logprobs.no is not None
    yes, no = math.exp(vlm.logprobs.yes), math.exp(vlm.logprobs.no)
    assert vlm.p_yes == pytest.approx(yes / (yes + no))
    assert vlm.answer_mass == pytest.approx(yes + no)
    assert vlm.model is not None
    assert body["degraded"] == []
    assert body["fusion"]["engine"] == "rules"
    assert "not a medical device" in body["disclaimer"]


def test_a_heatmap_comes_on_request(system: Running) -> None:
    body = post(system, params={"heatmap": "true"}).json()
    assert body["findings"]["classifier"]["heatmap"].startswith("iVBOR")


def test_age_counts(system: Running) -> None:
    """The first system of this kind sent the age and dropped it."""
    risks = [post(system, data={"questionnaire": f'{{"age": {age}}}'}).json()["risk"]["melanoma"] for age in (22, 80)]
    assert risks[0] < risks[1]


def test_unsure_is_the_same_as_no_answer(system: Running) -> None:
    unsure = post(system, data={"questionnaire": '{"prior_melanoma": "unsure", "sex": "unsure"}'}).json()["risk"]
    assert unsure == post(system).json()["risk"]


def test_an_earlier_melanoma_is_never_low(system: Running) -> None:
    answers = '{"age": 20, "sex": "male", "prior_melanoma": "yes", "fair_skin": "no"}'
    for seed in range(3):
        body = post(system, encode(lesion(seed=seed)), data={"questionnaire": answers}).json()
        assert body["risk"]["level"] != "low"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_the_four_formats_are_taken_whatever_the_name_says(system: Running, kind: str) -> None:
    answer = post(system, encode(lesion(), kind), name="notes.txt")
    assert answer.status_code == 200, answer.text
    assert answer.json()["findings"]["classifier"]["status"] == "ok"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(lesion().convert("CMYK"), "JPEG"), id="CMYK"),
        pytest.param(encode(lesion().convert("L").convert("I;16"), "PNG"), id="16-bit"),
        pytest.param(encode(lesion().convert("P"), "PNG"), id="palette"),
        pytest.param(encode(lesion(), "JPEG", progressive=True), id="progressive"),
        pytest.param(encode(lesion(), "WEBP", save_all=True, append_images=[lesion(seed=1)]), id="animated"),
        pytest.param(encode(lesion().convert("RGBA"), "PNG"), id="alpha"),
    ],
)
def test_unusual_pictures_are_accepted(system: Running, data: bytes) -> None:
    assert post(system, data).status_code == 200


def test_a_rotated_picture_is_judged_as_it_is_seen(system: Running) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = lesion()
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    rotated = post(system, encode(stored, "PNG", exif=exif)).json()["findings"]["classifier"]
    plain = post(system, encode(upright, "PNG")).json()["findings"]["classifier"]
    assert rotated["melanoma"] == pytest.approx(plain["melanoma"], rel=1e-3)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"just some text", 415, id="text named .jpg"),
        pytest.param(encode(lesion(), "GIF"), 415, id="GIF"),
        pytest.param(encode(lesion(), "GIF", save_all=True, append_images=[lesion()]), 415, id="animated GIF"),
        pytest.param(encode(lesion(), "BMP"), 415, id="BMP"),
        pytest.param(encode(lesion())[:2000], 422, id="truncated JPEG"),
        pytest.param(encode(lesion(), "PNG")[:2000], 422, id="truncated PNG"),
        pytest.param(b"\xff\xd8\xff" + b"\x00" * 500, 422, id="broken JPEG"),
        pytest.param(encode(Image.new("RGB", (1, 1))), 422, id="1x1"),
        pytest.param(encode(Image.new("RGB", (31, 400))), 422, id="too narrow"),
        pytest.param(encode(Image.new("1", (20000, 10000)), "PNG"), 422, id="200 megapixels"),
    ],
)
def test_unusable_pictures_are_refused(system: Running, data: bytes, status: int) -> None:
    check_problem(post(system, data), status, "image")


def test_an_empty_picture_is_refused(system: Running) -> None:
    check_problem(post(system, files={"image": ("x.jpg", b"")}), 422, "image")


def test_a_missing_picture_is_400(system: Running) -> None:
    check_problem(post(system, files={"picture": ("x.jpg", encode(lesion()))}), 400, "image")
    check_problem(post(system, files={"questionnaire": (None, "{}")}), 400, "image")


def test_two_pictures_are_400(system: Running) -> None:
    check_problem(post(system, files=[("image", ("a.jpg", encode(lesion())))] * 2), 400, "image")


def test_an_unknown_field_is_named_rather_than_dropped(system: Running) -> None:
    """A mistyped `questionaire` must not silently lose the answers."""
    check_problem(post(system, data={"questionaire": "{}"}), 422, "questionaire")


def test_what_is_not_multipart_is_400(system: Running) -> None:
    url = f"{system.url}/v1/assessments"
    check_problem(httpx2.post(url, content=encode(lesion()), headers={"content-type": "image/jpeg"}), 400)
    check_problem(httpx2.post(url, json={"image": "x"}), 400)
    check_problem(httpx2.post(url), 400)
    for kind in ("multipart/form-data; boundary=b", "multipart/form-data"):
        check_problem(httpx2.post(url, content=b"--b\r\nnonsense", headers={"content-type": kind}), 400)


@pytest.mark.parametrize("text", ["{", "not json", '{"age": NaN}', "[" * 30_000, '{"age": 1' + "0" * 5000 + "}"])
def test_broken_json_is_400(system: Running, text: str) -> None:
    check_problem(post(system, data={"questionnaire": text}), 400, "questionnaire")


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ([], "questionnaire"),
        ("yes", "questionnaire"),
        ({"shoe_size": 43}, "questionnaire.shoe_size"),
        ({"age": "47"}, "questionnaire.age"),
        ({"age": 47.5}, "questionnaire.age"),
        ({"age": True}, "questionnaire.age"),
        ({"age": -1}, "questionnaire.age"),
        ({"age": 200}, "questionnaire.age"),
        ({"fair_skin": "maybe"}, "questionnaire.fair_skin"),
        ({"fair_skin": True}, "questionnaire.fair_skin"),
        ({"fair_skin": ["yes"]}, "questionnaire.fair_skin"),
        ({"sex": "yes"}, "questionnaire.sex"),
    ],
)
def test_wrong_answers_are_422_and_name_the_field(system: Running, answers: object, field: str) -> None:
    body = check_problem(post(system, data={"questionnaire": json.dumps(answers)}), 422, field)
    assert "maybe" not in json.dumps(body), "a patient's answer is not repeated"


def test_a_lone_surrogate_is_a_422_not_a_500(system: Running) -> None:
    check_problem(post(system, data={"questionnaire": r'{"\ud800": "yes"}'}), 422)


def test_an_unknown_language_is_422_and_without_a_hosted_model_the_words_are_english(system: Running) -> None:
    check_problem(post(system, data={"language": "tlh"}), 422, "language")
    assert post(system, data={"language": "de"}).json()["risk"]["language"] == "en"


def test_an_unknown_modality_is_422(system: Running) -> None:
    check_problem(post(system, data={"modality": "x-ray"}), 422, "modality")


def test_answers_may_come_as_a_file(system: Running) -> None:
    files = {"image": ("x.jpg", encode(lesion())), "questionnaire": ("a.json", b'{"age": 80}', "application/json")}
    aged = post(system, files=files).json()
    assert next(c["log_odds"] for c in aged["risk"]["contributions"] if c["id"] == "age_sex") > 0


@pytest.mark.parametrize("accept", ["text/plain", "application/fhir+xml", "text/html", "application/json;q=0"])
def test_other_representations_are_406(system: Running, accept: str) -> None:
    check_problem(post(system, headers={"accept": accept}), 406)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, application/*;q=0.5"])
def test_json_is_given_to_who_takes_it(system: Running, accept: str) -> None:
    assert post(system, headers={"accept": accept}).status_code == 200


def test_unknown_paths_and_methods(system: Running) -> None:
    check_problem(httpx2.get(f"{system.url}/v1/nothing"), 404)
    check_problem(httpx2.get(f"{system.url}/.env"), 404)
    wrong = httpx2.get(f"{system.url}/v1/assessments")
    check_problem(wrong, 405)
    assert wrong.headers["allow"] == "POST"


def test_a_request_id_is_kept_if_it_is_a_uuid(system: Running) -> None:
    mine = str(uuid.uuid4())
    answer = post(system, headers={"x-request-id": mine})
    assert answer.json()["id"] == answer.headers["x-request-id"] == mine
    other = post(system, headers={"x-request-id": "1; drop table"})
    assert str(uuid.UUID(other.headers["x-request-id"])) == other.json()["id"]


def test_a_request_id_is_on_every_services_log_line(system: Running) -> None:
    mine = str(uuid.uuid4())
    post(system, headers={"x-request-id": mine})
    told: set[str] = set()
    end = time.monotonic() + 5
    while len(told) < 4 and time.monotonic() < end:  # a line is written after its answer has gone out
        told = {json.loads(line)["service"] for line in system.output().splitlines() if mine in line}
    assert told == {"orchestrator", "classifier", "vlm", "fusion"}


def test_no_log_and_no_metric_tells_of_picture_answers_or_scores(system: Running) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "CANARYGPS"
    answers = '{"age": 119, "prior_melanoma": "yes", "CANARYFIELD": "CANARYVALUE"}'
    image = encode(lesion(), exif=exif)
    before = len(system.output())
    post(system, image, name="CANARYNAME.jpg", data={"questionnaire": answers})
    body = post(system, image, name="CANARYNAME.jpg", data={"questionnaire": '{"age": 119}'}).json()
    httpx2.get(f"{system.url}/v1/patient/CANARYPATH")
    url = f"{system.url}/v1/assessments"
    httpx2.post(url, content=b"CANARYBODY", headers={"content-type": "multipart/form-data; boundary=b"})
    time.sleep(0.5)
    log = system.output()[before:]
    assert "CANARY" not in log
    values = [value for line in log.splitlines() for key, value in json.loads(line).items() if key != "duration_ms"]
    assert 119 not in values
    assert "119" not in values
    assert str(body["risk"]["melanoma"])[:8] not in log
    assert "Traceback" not in log
    assert "CANARY" not in httpx2.get(f"{system.url}/metrics").text


def test_metrics_count_by_route(system: Running) -> None:
    post(system)
    httpx2.get(f"{system.url}/v1/nothing")
    time.sleep(0.5)
    metrics = httpx2.get(f"{system.url}/metrics").text
    assert 'melalog_request_duration_seconds_count{method="POST",route="/v1/assessments",status="200"}' in metrics
    assert 'route="unmatched",status="404"' in metrics


@pytest.mark.parametrize(
    "headers",
    [{"traceparent": b"\xc3\xa9"}, {"traceparent": b"x" * 8000}, {"x-melalog-deadline-ms": b"9" * 400}],
    ids=["not ascii", "long", "deadline"],
)
def test_odd_headers_do_no_harm(system: Running, headers: dict[str, bytes]) -> None:
    assert post(system, headers=headers).status_code == 200


def test_a_charset_that_is_none_is_400(system: Running) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="modality"\r\n\r\nauto\r\n--b--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=b; charset=undefined"}
    check_problem(httpx2.post(f"{system.url}/v1/assessments", content=part, headers=kind), 400)


def test_a_websocket_is_refused_at_once(system: Running) -> None:
    with socket.create_connection(("127.0.0.1", system.ports["orchestrator"]), timeout=10) as connection:
        connection.sendall(
            b"GET /v1/questionnaire HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 403")


def test_uploads_that_stall_shut_nobody_out(system: Running) -> None:
    head = b"POST /v1/assessments HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
    head += b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b"
    port = system.ports["orchestrator"]
    stalled = [socket.create_connection(("127.0.0.1", port), timeout=15) for _ in range(40)]
    for connection in stalled:
        connection.sendall(head)
    time.sleep(0.3)
    assert post(system).status_code == 200
    assert stalled[0].recv(4096).startswith(b"HTTP/1.1 400")
    for connection in stalled:
        connection.close()


def test_the_questionnaire(system: Running) -> None:
    body = httpx2.get(f"{system.url}/v1/questionnaire").json()
    first = {
        "age", "sex", "prior_melanoma", "prior_skin_cancer", "many_moles", "family_skin_cancer", "fair_skin",
        "sunburns", "parkinsons", "weak_immune_system",
    }  # fmt: skip
    assert first < {question["id"] for question in body["questions"]}
    for question in body["questions"]:
        assert {"id", "text", "help", "type", "choices"} <= question.keys()
        assert question["type"] == "integer" or "unsure" in question["choices"]


def test_every_source_resolves_to_the_bibliography(system: Running) -> None:
    asked = httpx2.get(f"{system.url}/v1/questionnaire").json()["questions"]
    answer = httpx2.get(f"{system.url}/v1/evidence")
    assert answer.status_code == 200
    body = answer.json()
    entries = {row["source"]: row["entries"] for row in body["sources"]}
    ids = {entry["id"] for entry in body["bibliography"]}
    for question in asked:
        assert entries[question["source"]]
        assert set(entries[question["source"]]) <= ids
    assert {"citation", "doi", "url", "verified", "used_for"} <= body["bibliography"][0].keys()
    assert body["version"]


def test_what_is_deployed(system: Running) -> None:
    body = httpx2.get(f"{system.url}/v1/models").json()
    classifier = body["classifier"]
    assert len(classifier["sha256"]) == 64
    assert classifier["metrics"]["ham10000_test_melanoma_auc"]["interval"]
    vlm = body["vlm"]
    assert (vlm["engine"], vlm["calibrated"]) == ("embedded", True)
    assert "demonstration" in vlm["purpose"].casefold()
    assert vlm["metrics"]["ham10000_test_melanoma_auc"]["interval"]
    assert body["fusion"]["questionnaire"]


def test_probes_and_metrics(system: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert httpx2.get(system.url + path).status_code == 200
    assert httpx2.get(f"{system.url}/healthz/dependencies").json() == {
        "classifier": "ready", "vlm": "ready", "fusion": "ready",
    }  # fmt: skip


def test_openapi_and_docs_need_no_other_host(system: Running) -> None:
    document = httpx2.get(f"{system.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    route = document["paths"]["/v1/assessments"]["post"]
    assert "multipart/form-data" in route["requestBody"]["content"]
    assert {"200", "400", "406", "413", "415", "422", "429", "503"} <= route["responses"].keys()
    assert "application/problem+json" in route["responses"]["422"]["content"]
    docs = httpx2.get(f"{system.url}/docs").text
    for asset in re.findall(r'(?:src|href)="([^"]+)"', docs):
        assert asset.startswith("/"), asset
        assert httpx2.get(system.url + asset).status_code == 200


def test_the_page_needs_no_other_host(system: Running) -> None:
    page = httpx2.get(system.url)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert httpx2.get(system.url + asset).status_code == 200, asset
