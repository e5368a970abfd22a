"""`melalog assess` and `melalog doctor` against a running system."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Running
from tests.pictures import encode, lesion

MELALOG = Path(sys.executable).with_name("melalog")


def melalog(system: Running, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ports = {f"MELALOG_{name.upper()}_BIND_PORT": str(port) for name, port in system.ports.items()}
    environment = {**os.environ, **ports, **variables}
    return subprocess.run(
        [str(MELALOG), *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "lesion.jpg"
    path.write_bytes(encode(lesion()))
    return str(path)


def test_a_person_can_read_the_answer(system: Running, picture: str) -> None:
    done = melalog(system, "assess", picture)
    assert done.returncode == 0, done.stderr
    for words in (
        "90 % interval",
        "contributions",
        "prior",
        "classifier",
        "vlm",
        "not a medical",
    ):
        assert words in done.stdout


def test_json_is_the_apis_answer(system: Running, picture: str, tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text('{"age": 70, "prior_melanoma": "yes"}')
    done = melalog(system, "assess", picture, "--answers", str(answers), "--json", "--modality", "dermoscopy")
    body = json.loads(done.stdout)
    assert body["modality"] == "dermoscopy"
    assert [factor["id"] for factor in body["findings"]["questionnaire"]["factors"]] == ["prior_melanoma"]


def test_a_refusal_names_the_field(system: Running, picture: str, tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text('{"age": "old"}')
    done = melalog(system, "assess", picture, "--answers", str(answers))
    assert done.returncode == 1
    assert "questionnaire.age" in done.stderr
    (tmp_path / "text.jpg").write_text("hello")
    done = melalog(system, "assess", str(tmp_path / "text.jpg"))
    assert done.returncode == 1
    assert "415" in done.stderr


def test_doctor_finds_the_running_services_and_hides_secrets(system: Running) -> None:
    done = melalog(system, "doctor", NEBIUS_API_KEY="sk-canary")
    assert done.returncode == 0, done.stdout
    assert "orchestrator is running and ready" in done.stdout
    assert "MELALOG_DEADLINE_S" not in done.stdout, "the checks come first, and alone"
    assert "doctor --settings" in done.stdout
    done = melalog(system, "doctor", "--settings", NEBIUS_API_KEY="sk-canary")
    assert done.stdout.index("orchestrator is running") < done.stdout.index("MELALOG_DEADLINE_S")
    assert "set (hidden)" in done.stdout
    assert "sk-canary" not in done.stdout + done.stderr


def test_doctor_names_what_is_wrong(system: Running) -> None:
    done = melalog(system, "doctor", MELALOG_DEADLINE_S="soon")
    assert done.returncode == 1
    assert "MELALOG_DEADLINE_S" in done.stderr
    done = melalog(system, "doctor", MELALOG_VLM_ENGINE="openai", MELALOG_CLASSIFIER_ARTIFACT="/nowhere")
    assert done.returncode == 1
    assert "MELALOG_VLM_BASE_URL" in done.stdout
    assert "no classifier is released there" in done.stdout


def test_help_teaches(system: Running) -> None:
    shown = melalog(system, "--help").stdout
    for name in ("serve", "assess", "doctor", "bentos", "train"):
        assert name in shown
