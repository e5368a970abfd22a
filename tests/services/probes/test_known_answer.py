"""`melalog known-answer` against a running sandbox, whose situation is chosen by the picture's name."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.processes import ROOT
from services.probes import known_answer
from tests.conftest import free_ports, running
from tests.fakes.node import FakeNode, says


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(("orchestrator",), tmp_path_factory.mktemp("sandbox"), {"MELALOG_SANDBOX": "true"}) as started:
        yield started.url


@pytest.fixture
def recorded(sandbox: str, tmp_path: Path) -> Path:
    """The sandbox's answer to `moderate.png`, as recorded."""
    file = tmp_path / "expected.json"
    status, told = run(sandbox, file, "moderate", "--record")
    assert (status, str(file) in told) == (0, True)
    return file


def run(url: str, file: Path, situation: str, *more: str) -> tuple[int, str]:
    picture = file.parent / f"{situation}.png"
    picture.write_bytes(known_answer.generated())
    command = ["known-answer", str(picture), "--url", url, "--expected", str(file), *more]
    answer = CliRunner().invoke(app, command)
    return answer.exit_code, answer.output


def test_the_same_answer_passes(sandbox: str, recorded: Path) -> None:
    before = recorded.read_text()
    assert run(sandbox, recorded, "moderate")[0] == known_answer.SAME
    assert recorded.read_text() == before


def test_what_moved_is_named(sandbox: str, recorded: Path) -> None:
    status, told = run(sandbox, recorded, "high")
    assert status == known_answer.MOVED
    assert "risk.level moderate -> high" in told
    assert "classifier.melanoma 0.0500 -> 0.8500" in told
    assert "by the same models" in told


def test_a_number_may_move_within_the_tolerance_only(sandbox: str, recorded: Path) -> None:
    kept = json.loads(recorded.read_text())
    (entry,) = kept.values()
    entry["numbers"]["vlm.melanoma"] = 0.0525  # 0.05 is answered: 0.051 in log-odds
    recorded.write_text(json.dumps(kept))
    assert run(sandbox, recorded, "moderate")[0] == known_answer.SAME
    status, told = run(sandbox, recorded, "moderate", "--tolerance", "0.05")
    assert (status, "vlm.melanoma 0.0525 -> 0.0500" in told) == (known_answer.MOVED, True)


def test_another_model_is_a_release_and_not_drift(sandbox: str, recorded: Path) -> None:
    recorded.write_text(recorded.read_text().replace("classifier sandbox 0", "classifier sandbox 1"))
    status, told = run(sandbox, recorded, "high")
    assert status == known_answer.UNRECORDED
    assert "classifier sandbox 0" in told
    assert "classifier sandbox 1" in told
    assert "--record" in told
    assert run(sandbox, recorded, "moderate", "--record")[0] == 0
    assert len(json.loads(recorded.read_text())) == 2, "the other release's answer stays, for a roll-back"


@pytest.mark.parametrize(
    ("situation", "said"),
    [("degraded", "lacks classifier"), ("503", "503"), ("422", "422"), ("401", "--key-file")],
)
def test_no_whole_answer_is_no_comparison(sandbox: str, recorded: Path, situation: str, said: str) -> None:
    before = recorded.read_text()
    for more in ((), ("--record",)):
        status, told = run(sandbox, recorded, situation, *more)
        assert (status, said in told) == (known_answer.UNANSWERED, True)
    assert recorded.read_text() == before


def test_nobody_there(recorded: Path) -> None:
    status, told = run(f"http://127.0.0.1:{free_ports(1)[0]}", recorded, "moderate")
    assert (status, "ready?" in told) == (known_answer.UNANSWERED, True)


@pytest.mark.parametrize("content", ["", "[]", '{"a": {}}', '{"a": 1}'])
def test_a_file_of_something_else(sandbox: str, tmp_path: Path, content: str) -> None:
    file = tmp_path / "expected.json"
    file.write_text(content)
    status, told = run(sandbox, file, "moderate")
    assert (status, "no recorded answers" in told) == (known_answer.UNANSWERED, True)


def test_the_hosted_model_may_raise_a_level_by_one_step() -> None:
    before = {"level": "low", "numbers": {}}
    for level, engine, told in (("moderate", True, 0), ("moderate", False, 1), ("high", True, 1)):
        assert len(known_answer.moved(before, known_answer.Known(level, engine, {}), 0.1)) == told


def test_the_program_of_the_cron_job(sandbox: str, recorded: Path) -> None:
    """As in k8s/components/known-answer/cronjob.yaml: the sources alone, in another folder, no key there."""
    source = recorded.parent / "src"
    shutil.copytree(ROOT / "services", source / "services", ignore=shutil.ignore_patterns("app", "__pycache__"))
    picture = recorded.parent / "high.png"
    picture.write_bytes(known_answer.generated())
    module = ["-m", "services.probes.known_answer", sandbox, str(recorded), "--key-file", "/none"]
    for name, status in (("moderate", 0), ("high", 1)):
        named = picture.rename(picture.with_name(f"{name}.png"))
        command = [sys.executable, *module, "--picture", str(named)]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, done.stderr
        picture = named
    assert done.stderr.splitlines()[-1].startswith("the answer moved")


@pytest.mark.parametrize("key", [b"\xff\xfe", b"one\ntwo\n"])
def test_a_key_that_is_none_is_no_answer_and_not_one_that_moved(sandbox: str, recorded: Path, key: bytes) -> None:
    file = recorded.parent / "key"
    file.write_bytes(key)
    status, told = run(sandbox, recorded, "moderate", "--key-file", str(file))
    assert (status, "key" in told) == (known_answer.UNANSWERED, True)


@pytest.mark.parametrize("body", [{}, [], {"degraded": []}, {"findings": None, "risk": {}, "degraded": []}])
def test_json_that_is_no_assessment_is_no_answer(recorded: Path, body: object) -> None:
    node = FakeNode({})
    node.behave = says(200, json.dumps(body).encode())
    status, told = run(node.url, recorded, "moderate")
    node.die()
    assert (status, "no assessment" in told) == (known_answer.UNANSWERED, True)
