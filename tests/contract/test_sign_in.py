"""Sign-in, the sandbox and the app's build, through the front door of one orchestrator that has all three."""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.contracts import Assessment
from services.orchestrator import api_keys, jwks
from services.orchestrator.sandbox import DISCLAIMER, SITUATIONS
from tests.conftest import Running, free_ports, running
from tests.contract.test_assessments import check_problem
from tests.fakes.issuer import AUDIENCE, Issuer
from tests.pictures import encode, lesion
from tests.sse import events

PER_MINUTE = 60
KEY, DIGEST = api_keys.new()
BUSY, BUSY_DIGEST = api_keys.new()
INDEX = "<!doctype html><title>app</title><script>start()</script><script src='/_expo/entry.js'></script>"
ENTRY = "_expo/static/js/web/entry-0123456789abcdef0123456789abcdef.js"


@dataclass
class Guarded:
    """An orchestrator that asks for sign-in."""

    running: Running
    issuer: Issuer

    def post(self, credential: str | None = KEY, situation: str = "moderate", **options: Any) -> httpx2.Response:
        """An assessment of the sandbox."""
        headers = {"x-melalog-sandbox": situation} if situation else {}
        headers |= {"authorization": f"Bearer {credential}"} if credential is not None else {}
        headers |= options.pop("headers", {})
        fields = {"files": {"image": ("lesion.jpg", encode(lesion()))}, **options}
        url = f"{self.running.url}/v1/assessments"
        return httpx2.post(url, headers=headers, timeout=30, trust_env=False, **fields)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return httpx2.get(self.running.url + path, headers=headers, trust_env=False)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder, issuer = tmp_path_factory.mktemp("guarded"), Issuer()
    (folder / "keys").write_text(f"CANARYCLINIC {DIGEST}\nbusy {BUSY_DIGEST}\n")
    (folder / "log-key").write_text("of the logs\n")
    build = folder / "build"
    (build / ENTRY).parent.mkdir(parents=True)
    (build / ENTRY).write_text("start()")
    (build / "index.html").write_text(INDEX)
    (build / "favicon.ico").write_bytes(b"ico")
    settings = {
        "MELALOG_AUTH": "required",
        "MELALOG_OIDC_ISSUER": issuer.url,
        "MELALOG_OIDC_AUDIENCE": AUDIENCE,
        "MELALOG_OIDC_JWKS_URL": issuer.jwks_url,
        "MELALOG_OIDC_SCOPE": "melalog",
        "MELALOG_OIDC_CLIENT_ID": "app",
        "MELALOG_API_KEYS_FILE": str(folder / "keys"),
        "MELALOG_LOG_KEY_FILE": str(folder / "log-key"),
        "MELALOG_RATE_PER_MINUTE": str(PER_MINUTE),
        "MELALOG_SANDBOX": "true",
        "MELALOG_APP_DIR": str(build),
        "MELALOG_APP_ORIGINS": "https://login.example",
        "MELALOG_CORS_ORIGINS": "http://front.example",
    }
    with running(("orchestrator",), folder, settings) as started:
        yield Guarded(started, issuer)
    issuer.close()


def challenge(answer: httpx2.Response, status: int) -> str:
    check_problem(answer, status)
    told: str = answer.headers["www-authenticate"]
    assert told.startswith('Bearer realm="melalog"')
    return told


def test_who_is_signed_in_is_let_in(guarded: Guarded) -> None:
    assert guarded.post(KEY).status_code == 200
    for key in guarded.issuer.keys:
        assert guarded.post(guarded.issuer.token(key, scope="melalog")).status_code == 200
    assert guarded.get("/v1/models", authorization=f"bearer {KEY}").status_code == 200


def test_who_is_not_signed_in_is_told_how(guarded: Guarded) -> None:
    assert "error" not in challenge(guarded.post(None), 401), "nothing was sent, nothing was wrong (RFC 6750 3.1)"
    challenge(guarded.post(None, headers={"authorization": "Basic dXNlcjpwYXNz"}), 401)
    challenge(guarded.get("/v1/models"), 401)
    for wrong in ("x", api_keys.new()[0], DIGEST, "melalog_"):
        assert 'error="invalid_token"' in challenge(guarded.post(wrong), 401)
    assert guarded.get("/v1/sign-in").json() == {
        "required": True, "issuer": guarded.issuer.url, "client_id": "app", "audience": AUDIENCE, "scope": "melalog",
    }  # fmt: skip
    for path in ("/v1/questionnaire", "/v1/evidence", "/readyz", "/livez", "/metrics", "/docs", "/openapi.json"):
        assert guarded.get(path).status_code == 200


def test_tokens_that_do_not_hold_are_refused(guarded: Guarded) -> None:
    issuer, now = guarded.issuer, int(time.time())
    for wrong in ({"exp": now - 60}, {"aud": "another"}, {"iss": "https://evil.example"}):
        assert 'error="invalid_token"' in challenge(guarded.post(issuer.token(scope="melalog", **wrong)), 401)
    assert 'scope="melalog"' in challenge(guarded.post(issuer.token(scope="openid")), 403)


def test_rotated_keys_are_taken_up(guarded: Guarded) -> None:
    before = guarded.issuer.token(scope="melalog")
    assert guarded.post(before).status_code == 200
    guarded.issuer.rotate()
    time.sleep(jwks.PAUSE_S)
    assert guarded.post(guarded.issuer.token(scope="melalog")).status_code == 200
    challenge(guarded.post(before), 401)


def test_a_caller_has_a_pace_and_slows_nobody_else_down(guarded: Guarded) -> None:
    with httpx2.Client(trust_env=False, headers={"authorization": f"Bearer {BUSY}"}) as client:
        answers = [client.post(f"{guarded.running.url}/v1/assessments") for _ in range(PER_MINUTE + 20)]
    assert {answer.status_code for answer in answers} == {400, 429}
    last = next(answer for answer in reversed(answers) if answer.status_code == 429)
    assert check_problem(last, 429)["retry_after"] == int(last.headers["retry-after"]) == 1
    assert guarded.post(KEY).status_code == 200


def test_no_log_and_no_metric_tells_who_asked(guarded: Guarded) -> None:
    before = len(guarded.running.output())
    token = guarded.issuer.token(scope="melalog")
    guarded.post(token, situation="low")
    guarded.post(KEY)
    guarded.post(token + "x")
    guarded.post(guarded.issuer.token(scope="melalog", aud="CANARYAUDIENCE"))
    time.sleep(0.5)
    log = guarded.running.output()[before:]
    assert "CANARY" not in log + guarded.get("/metrics").text
    assert token.split(".")[2] not in log
    assert KEY not in log
    callers = {line["caller"] for line in map(json.loads, log.splitlines()) if "caller" in line}
    assert len(callers) == 2
    assert "InvalidClaimError aud" in log, "an operator sees what is wrong with tokens"
    assert all(re.fullmatch("[0-9a-f]{16}", caller) for caller in callers)


def test_a_browser_elsewhere_gets_to_read_the_challenge(guarded: Guarded) -> None:
    answer = guarded.post(None, headers={"origin": "http://front.example"})
    assert answer.headers["access-control-allow-origin"] == "http://front.example"
    assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]


def test_the_sandbox_meets_every_situation_within_the_contract(guarded: Guarded) -> None:
    levels = {"low": "low", "moderate": "moderate", "high": "high", "degraded": "moderate", "no-vlm": "moderate"}
    for name in SITUATIONS:
        answer = guarded.post(situation=name, params={"heatmap": "true"})
        if name.isdecimal():
            assert check_problem(answer, int(name))["detail"]
            assert name not in ("429", "503") or int(answer.headers["retry-after"]) >= 1
            continue
        found = Assessment.model_validate_json(answer.text)
        assert found.disclaimer == DISCLAIMER
        assert "SANDBOX" in found.disclaimer
        assert found.risk.level == levels.get(name, "moderate")
        assert found.degraded == {"degraded": ("classifier",), "no-vlm": ("vlm",)}.get(name, ())
        assert (found.findings.classifier.heatmap is None) == (name == "degraded")
    assert check_problem(guarded.post(situation="nonsense"), 422, "X-Melalog-Sandbox")


def test_a_situation_may_stand_in_the_pictures_name_and_answers_still_count(guarded: Guarded) -> None:
    for name, level in (("high.jpg", "high"), ("my-low-1.png", "low"), ("IMG_1.jpg", "moderate")):
        files = {"image": (name, encode(lesion()))}
        assert guarded.post(situation="", files=files).json()["risk"]["level"] == level
    bleeding = guarded.post(situation="low", data={"questionnaire": '{"bleeding": "yes"}'}).json()
    assert bleeding["risk"]["level"] != "low"
    assert "bleeding" in bleeding["risk"]["raised_by"]


def test_slow_shows_the_findings_one_by_one(guarded: Guarded) -> None:
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {KEY}", "x-melalog-sandbox": "slow"}
    files = {"image": ("x.jpg", encode(lesion()))}
    with (
        httpx2.Client(trust_env=False, timeout=20) as client,
        client.stream("POST", f"{guarded.running.url}/v1/assessments", headers=headers, files=files) as answer,
    ):
        came = [(time.monotonic(), next(iter(event.data))) for event in events(answer) if event.event]
    assert [name for _, name in came][:4] == ["classifier", "picture", "vlm", "questionnaire"]
    assert came[2][0] - came[0][0] > 0.7


def test_the_app_is_at_the_root_and_at_its_own_paths(guarded: Guarded) -> None:
    for path in ("/", "/diary", "/diary/site/7", "/index.html"):
        page = guarded.get(path)
        assert page.text == INDEX
        assert page.headers["cache-control"] == "no-cache"
        policy = page.headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval' 'sha256-" in policy
        assert f"connect-src 'self' blob: data: {guarded.issuer.url} https://login.example;" in policy
        assert "frame-ancestors 'none'" in policy
    assert guarded.get("/", **{"if-none-match": guarded.get("/").headers["etag"]}).status_code == 304
    entry = guarded.get(f"/{ENTRY}")
    assert "immutable" in entry.headers["cache-control"]
    assert entry.headers["content-type"].startswith("text/javascript")
    assert guarded.get("/favicon.ico").headers["cache-control"] == "no-cache"


def test_the_app_takes_no_path_of_the_api_and_shows_no_other_file(guarded: Guarded) -> None:
    for path in ("/v1/nothing", "/.env", "/_expo/missing.js", "/..%2fkeys.x", "/docs/x"):
        check_problem(guarded.get(path), 404)
    for path in ("/..%2fkeys", "/%2e%2e/keys", "/_expo/%2e%2e%2f%2e%2e%2fkeys"):
        assert guarded.get(path).text == INDEX
    url = guarded.running.url
    check_problem(httpx2.post(f"{url}/diary", trust_env=False), 404)
    assert check_problem(httpx2.get(f"{url}/v1/assessments", trust_env=False), 405)
    assert guarded.get("/v1/questionnaire").json()["questions"]


def test_the_documented_python_client_is_made_and_works(guarded: Guarded, tmp_path: Path) -> None:
    text = Path("docs/api.md").read_text()
    command = re.search(r"^\$ uvx (openapi-python-client.*)$", text, re.MULTILINE)
    program = re.search(r"```python\n(from melalog_client.*?)```", text, re.DOTALL)
    assert command
    assert program
    here = {"http://127.0.0.1:3000": guarded.running.url, "melalog_…": KEY}
    told, code = command[1], program[1]
    for placeholder, value in here.items():
        told, code = told.replace(placeholder, value), code.replace(placeholder, value)
    (tmp_path / "lesion.jpg").write_bytes(encode(lesion()))
    (tmp_path / "use.py").write_text(code)
    uv = Path(sys.executable).with_name("uv")
    for arguments in ([uv, "tool", "run", "-q", *told.split()], [sys.executable, "use.py"]):
        done = subprocess.run(arguments, cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "moderate This spot should be looked at"


def clean() -> dict[str, str]:
    """The environment without the settings of the orchestrator above."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MELALOG_")}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"MELALOG_HOST": "0.0.0.0"}, "MELALOG_AUTH=off"),  # noqa: S104
        ({"MELALOG_AUTH": "required"}, "MELALOG_API_KEYS_FILE"),
        ({"MELALOG_OIDC_ISSUER": "https://a.example"}, "belong together"),
        ({"MELALOG_API_KEYS_FILE": "/nowhere/keys"}, "MELALOG_API_KEYS_FILE"),
        ({"MELALOG_APP_DIR": "/nowhere"}, "MELALOG_APP_DIR"),
    ],
)
def test_settings_that_would_leave_a_door_open_stop_the_start(settings: dict[str, str], told: str) -> None:
    command = [sys.executable, "-c", "import services.orchestrator.service"]
    done = subprocess.run(command, env={**clean(), **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_bentomls_own_default_address_is_refused_too(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    target = "services.orchestrator.service:OrchestratorService"
    with (tmp_path / "log").open("w") as sink:
        started = subprocess.Popen(
            [str(Path(sys.executable).with_name("bentoml")), "serve", target, "--port", str(port)],
            env={**clean(), "BENTOML_HOME": str(tmp_path)}, stdout=sink, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            end = time.monotonic() + 60
            while "MELALOG_AUTH=off" not in (log := (tmp_path / "log").read_text()):
                assert time.monotonic() < end, log
                time.sleep(0.2)
        finally:
            started.terminate()
            started.wait(20)
    assert "0.0.0.0 can be reached from other machines" in log
    assert "Traceback" not in log


def test_callers_in_logs_are_keyed_by_the_file_as_it_is(guarded: Guarded) -> None:
    file = guarded.running.log.parent / "log-key"
    for key in ("of the logs", "another, after a rotation"):
        file.write_text(f"{key}\n")
        assert guarded.post().is_success
        caller = hmac.new(key.encode(), b"key CANARYCLINIC", hashlib.sha256).hexdigest()[:16]
        end = time.monotonic() + 5  # the line is written when the answer has gone
        while caller not in guarded.running.output() and time.monotonic() < end:
            time.sleep(0.05)
        assert f'"caller": "{caller}"' in guarded.running.output()
