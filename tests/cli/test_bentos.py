"""Each bento is built from this checkout and serves alone, with its own lock and nothing else."""

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from cli import processes
from models.classifier.serving import artifact as classifier
from models.vlm.serving import artifact as vlm
from tests.conftest import free_ports

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ROLES = ("orchestrator", "classifier", "vlm", "fusion")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BentoML home with the four bentos in it."""
    home = tmp_path_factory.mktemp("bentos")
    environment = {**os.environ, "BENTOML_HOME": str(home)}
    done = subprocess.run(
        [BIN / "melalog", "bentos"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for role in ROLES:
        assert f"melalog-{role}:" in done.stdout
    return home


def test_no_lock_for_serving_has_torch() -> None:
    for role in (*ROLES, "serve"):
        lock = (ROOT / "requirements" / f"{role}.txt").read_text()
        assert not re.search(r"^(torch|timm|nvidia-c\w+)[=-]", lock, re.MULTILINE), role
        assert "--hash=sha256:" in lock
        assert "://" not in lock, "a lock names no index host"


@pytest.mark.parametrize("role", ROLES)
def test_a_bento_serves_with_its_own_lock(store: Path, tmp_path: Path, role: str) -> None:
    uv, python = BIN / "uv", tmp_path / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tmp_path / "venv"], check=True)
    folder = next((store / "bentos" / f"melalog-{role}").glob("*/bento.yaml")).parent
    lock = folder / "env" / "python" / "requirements.txt"
    # As the bento's own Dockerfile does it: BentoML appends its name without a hash, so hashes cannot be required.
    subprocess.run([uv, "pip", "install", "-q", "--python", python, "-r", lock], check=True)
    (port,) = free_ports(1)
    mark = uuid.uuid4().hex
    environment = {**os.environ, "BENTOML_HOME": str(store), "BENTOML_DO_NOT_TRACK": "True", processes.MARK: mark}
    environment.pop("PYTHONPATH", None)
    log = tmp_path / "serve.log"
    with log.open("w") as sink:
        child = processes.Child(
            [
                python.with_name("bentoml"),
                "serve",
                f"melalog-{role}:latest",
                "--port",
                str(port),
                "--host",
                "127.0.0.1",
            ],
            cwd=tmp_path,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
        )
    child.mark = mark
    try:
        end = time.monotonic() + 120
        while True:
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            try:
                if httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success:
                    break
            except httpx2.HTTPError:
                time.sleep(0.3)
        path = "/v1/models" if role == "orchestrator" else "/v1/model"
        assert httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False).status_code == 200
    finally:
        processes.stop([child])


@pytest.mark.parametrize(
    ("role", "load", "folder"),
    [
        ("classifier", classifier.ClassifierArtifact.load, classifier.RELEASED),
        ("vlm", vlm.VlmArtifact.load, vlm.RELEASED),
    ],
)
def test_a_models_bento_takes_it_from_the_store(
    store: Path, role: str, load: Callable[[Path], Any], folder: Path
) -> None:
    bento = next((store / "bentos" / f"melalog-{role}").glob("*/bento.yaml")).parent
    info = yaml.safe_load((bento / "bento.yaml").read_text())
    assert [model["tag"] for model in info["models"]] == [f"melalog-{role}:{load(folder).digest}"]
    assert not list(bento.glob("src/**/*.onnx"))
