"""Whatever is sent, the answer is an assessment or problem+json, never a 5xx of ours."""

import json
from urllib.parse import quote

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Running
from tests.pictures import encode, lesion

GOOD = encode(lesion(64, 48))
ASKED = ["age", "sex", "prior_melanoma", "fair_skin", "nothing"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ASKED) | st.text(max_size=5), inner),
    max_leaves=8,
)
FUZZ = settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(answer: httpx2.Response) -> None:
    assert answer.status_code in {200, 400, 404, 405, 406, 413, 415, 422, 429}, (answer.status_code, answer.text)
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json", (answer.request.url, answer.text)
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


@FUZZ
@given(JSON)
def test_any_questionnaire(system: Running, raw: object) -> None:
    fields = {"questionnaire": json.dumps(raw)}
    check(httpx2.post(f"{system.url}/v1/assessments", files={"image": ("x", GOOD)}, data=fields, timeout=20))


@FUZZ
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=40), st.integers(0, len(GOOD)))
def test_any_picture(system: Running, at: int, noise: bytes, end: int) -> None:
    data = (GOOD[:at] + noise + GOOD[at + len(noise) :])[:end]
    check(httpx2.post(f"{system.url}/v1/assessments", files={"image": ("x", data)}, timeout=20))


@FUZZ
@given(
    st.binary(max_size=300),
    st.sampled_from(
        ["multipart/form-data; boundary=b", "multipart/form-data; boundary=b; charset=\xff", "text/plain", ""]
    ),
    st.binary(max_size=30).map(lambda value: bytes(byte for byte in value if byte > 0x20 and byte != 0x7F)),
)
def test_any_body_and_headers(system: Running, body: bytes, kind: str, value: bytes) -> None:
    headers = {"content-type": kind.encode("latin-1"), "accept": value, "x-request-id": value, "traceparent": value}
    shaped = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n' + body + b"\r\n--b--\r\n"
    for content in (body, shaped):
        check(httpx2.post(f"{system.url}/v1/assessments", content=content, headers=headers, timeout=20))


@FUZZ
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"]),
)
def test_any_path(system: Running, path: str, method: str) -> None:
    """But for control characters: a path with a line break never reaches us, BentoML says 404 to it in plain text."""
    check(httpx2.request(method, f"{system.url}/v1/{quote(path, safe='')}", timeout=20))
