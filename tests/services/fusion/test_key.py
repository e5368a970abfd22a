"""The hosted model's key as Kubernetes mounts it: it comes, changes and goes while the service runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from services.common.settings import Settings
from services.contracts import FuseResponse
from services.fusion.key import Key
from tests.conftest import running
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import OpenAIServer

TOLD = "The picture weighed most in this result, and your answers added a little to it."
SAID = {"level": "low", "key_reasons": ["answer.fair_skin"], "questions_for_doctor": [], "explanation": TOLD}
REQUEST = {
    "answers": {"age": 64, "fair_skin": "yes"},
    "modality": "dermoscopy",
    "classifier": {"melanoma": 0.9, "prevalence": 0.1, "logit_sd": 0.3},
    "vlm": {"status": "unavailable"},
}


class Mounted:
    """A Secret's folder: `api-key` leads through `..data` to a dated folder, and only `..data` is ever swapped."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._turn = folder, 0
        self.file = folder / "api-key"

    def put(self, key: str | None) -> None:
        self._turn += 1
        dated = self.folder / f"..2026_11_21_{self._turn}"
        dated.mkdir(parents=True)
        if key is not None:
            (dated / "api-key").write_text(key)
        swapped = self.folder / "..data_tmp"
        swapped.symlink_to(dated.name)
        swapped.rename(self.folder / "..data")
        if key is not None and not self.file.is_symlink():
            self.file.symlink_to("..data/api-key")


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mounted, OpenAIServer, str]]:
    secret = Mounted(tmp_path_factory.mktemp("secret"))
    with OpenAIServer(fake.text(json.dumps(SAID))) as server:
        environment = {"MELALOG_LLM_API_KEY_FILE": str(secret.file), "MELALOG_LLM_BASE_URL": server.base_url}
        with running(("fusion",), tmp_path_factory.mktemp("fusion"), environment) as started:
            yield secret, server, f"http://127.0.0.1:{started.ports['fusion']}"


def ask(url: str) -> FuseResponse:
    answer = httpx2.post(f"{url}/v1/fuse", json=REQUEST, trust_env=False, timeout=20)
    return FuseResponse.model_validate_json(answer.raise_for_status().content)


def test_a_key_comes_changes_and_goes_without_a_restart(mounted: tuple[Mounted, OpenAIServer, str]) -> None:
    secret, server, url = mounted

    def told() -> Any:
        return httpx2.get(f"{url}/v1/model", trust_env=False).json()["llm"]

    fused = ask(url)
    assert (fused.fusion.engine, fused.llm_failed, told()) == ("rules", False, None)

    for key in ("the first key", "the second key"):
        secret.put(f"{key}\n")
        fused = ask(url)
        assert (fused.fusion.engine, fused.risk.explanation) == ("llm", TOLD)
        assert server.requests[-1].headers["authorization"] == f"Bearer {key}"
        assert told()

    asked = len(server.requests)
    secret.put(None)
    fused = ask(url)
    assert (fused.fusion.engine, fused.llm_failed, told()) == ("rules", False, None)
    assert len(server.requests) == asked


def test_a_file_that_cannot_be_read_leaves_the_key_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEBIUS_API_KEY", raising=False)
    file = tmp_path / "api-key"
    file.write_text("a key\n")
    key = Key(Settings(llm_api_key_file=str(file)))
    assert key() == "a key"
    file.unlink()
    file.mkdir()  # cannot be read by anyone, root included
    with capture_logs() as logged:
        assert key() == "a key"
    assert [line["event"] for line in logged] == ["hosted model's key unreadable"]
    file.rmdir()
    assert key() == ""
