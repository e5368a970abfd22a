import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import OpenAIServer

CASE: dict[str, Any] = {
    "answers": {"age": 64, "sex": "female", "fair_skin": "yes", "sunburns": "unsure"},
    "modality": "dermoscopy",
    "classifier": {"melanoma": 0.4, "malignant": 0.4, "prevalence": 0.1, "model": {"name": "SECRET", "version": "1"}},
}
SAID = {
    "level": "low",
    "key_reasons": ["answer.fair_skin"],
    "explanation": "The picture weighed most in this result, and your answers added a little to it.",
    "questions_for_doctor": [],
}

Explain = Callable[..., Result]


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch) -> Explain:
    for name in ("MELALOG_LLM_API_KEY", "NEBIUS_API_KEY", "NEBIUS_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
        return CliRunner().invoke(app, ["explain", *arguments], input=stdin, env=environment)

    return run


@pytest.fixture
def case(tmp_path: Path) -> str:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(CASE))
    return str(file)


def test_a_dry_run_prints_exactly_what_is_then_sent(explain: Explain, case: str) -> None:
    with OpenAIServer(fake.text(json.dumps(SAID))) as server:
        there = {"MELALOG_LLM_BASE_URL": server.base_url, "MELALOG_LLM_API_KEY": "THE-KEY"}
        shown = explain(case, "--dry-run", **there)
        assert server.requests == [], "nothing is sent"
        done = explain(case, **there)
    printed = json.loads(shown.stdout)
    (request,) = server.requests
    assert request.body == printed["body"]
    assert printed["url"] == f"{server.base_url}/chat/completions"
    assert request.headers["authorization"] == "Bearer THE-KEY"
    assert "THE-KEY" not in shown.output
    assert "SECRET" not in shown.output
    assert done.exit_code == 0
    answered = json.loads(done.stdout)
    assert (answered["fusion"]["engine"], answered["fusion"]["level_proposed"]) == ("llm", "low")
    assert answered["risk"]["explanation"] == SAID["explanation"]


def test_a_case_can_be_given_by_flags_alone_and_needs_no_key_to_be_shown(explain: Explain, case: str) -> None:
    flags = ("--answer", "age=64", "--answer", "sex=female", "--answer", "fair_skin=yes", "--modality", "dermoscopy")
    by_flags = explain(*flags, "--melanoma", "0.4", "--malignant", "0.4", "--dry-run")
    by_file, by_stdin = explain(case, "--dry-run"), explain("-", "--dry-run", stdin=json.dumps(CASE))
    assert by_flags.exit_code == 0
    assert json.loads(by_flags.stdout) == json.loads(by_file.stdout) == json.loads(by_stdin.stdout)
    assert json.loads(by_flags.stdout)["authorization"] == "no key is set"


def test_the_language_and_the_format_of_the_settings_are_those_shown(explain: Explain, case: str) -> None:
    shown = explain(case, "--dry-run", "--language", "de", MELALOG_LLM_RESPONSE_FORMAT="none")
    body = json.loads(shown.stdout)["body"]
    assert "plain German" in body["messages"][0]["content"]
    assert "response_format" not in body


def test_without_a_key_it_says_what_to_do(explain: Explain, case: str) -> None:
    done = explain(case)
    assert done.exit_code == 1
    assert "NEBIUS_API_KEY" in done.stderr
    assert "--dry-run" in done.stderr


def test_a_host_that_fails_leaves_the_rules_words_and_a_status(explain: Explain, case: str) -> None:
    with OpenAIServer(fake.http_error(404)) as server:
        done = explain(case, MELALOG_LLM_BASE_URL=server.base_url, MELALOG_LLM_API_KEY="k")
    assert done.exit_code == 1
    assert '"engine": "rules"' in done.stdout
    assert "no usable answer" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--answer", "fair_skin=perhaps"), "answers.fair_skin"),
        (("--answer", "age"), "ID=VALUE"),
        (("--modality", "x-ray"), "modality"),
        (("--language", "fr"), "language"),
        (("no-such-file.json",), "no-such-file.json"),
    ],
)
def test_what_is_no_case_is_named(explain: Explain, arguments: tuple[str, ...], message: str) -> None:
    done = explain("--dry-run", *arguments)
    assert done.exit_code == 1
    assert message in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", '{"answers": [1]}', '{"answers": 3}', '{"classifier": {"melanoma": 9}}']
)
def test_a_file_that_is_no_case_is_named(explain: Explain, tmp_path: Path, text: str) -> None:
    file = tmp_path / "case.json"
    file.write_text(text)
    done = explain(str(file), "--dry-run")
    assert done.exit_code == 1
    assert done.stderr
    assert "Traceback" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
