"""`melalog serve` as a person uses it: it starts, it stops, it leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from cli import processes, serve
from tests.conftest import free_ports, left
from tests.pictures import encode, lesion

MELALOG = Path(sys.executable).with_name("melalog")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Free ports and a BentoML home of its own."""
    names = ("ORCHESTRATOR", "CLASSIFIER", "VLM", "FUSION")
    ports = dict(zip(names, map(str, free_ports(4)), strict=True))
    chosen = {f"MELALOG_{name}_BIND_PORT": port for name, port in ports.items()}
    return {**os.environ, **chosen, "BENTOML_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}


class Serving:
    """A `melalog serve` that is ready."""

    def __init__(self, environment: dict[str, str], log: Path, *options: str) -> None:
        self.log = log
        with log.open("w") as sink:
            # Through a shell that puts it in the background, as scripts do: SIGINT is then ignored until it is set.
            self.process = subprocess.Popen(
                ["sh", "-c", 'trap "" INT; exec "$0" serve "$@"', str(MELALOG), *options],
                env=environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + 500
        while "Melalog is ready" not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < end, self.text()
            time.sleep(0.2)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def ends(self, within_s: float = 30) -> int:
        """Exit status; checks that no process is left."""
        status = self.process.wait(within_s)
        _, left = psutil.wait_procs(self.family, timeout=5)
        assert not left, [process.cmdline() for process in left]
        return status


@pytest.fixture
def serving(environment: dict[str, str], tmp_path: Path) -> Iterator[Serving]:
    started = Serving(environment, tmp_path / "serve.log")
    yield started
    if started.process.poll() is None:
        started.process.send_signal(signal.SIGINT)
        started.process.wait(30)


def test_while_services_start_it_says_which_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "REPORT_EVERY_S", 0.0)
    silent = processes.Service("fusion", "", *free_ports(1))
    sleeper = processes.Child(["sleep", "60"], text=True)
    with pytest.raises(TimeoutError, match="not ready after 1 s: fusion"):
        serve._wait_ready((silent,), [sleeper], 1)  # noqa: SLF001  (else it takes a service that starts for minutes)
    sleeper.kill()
    sleeper.wait()
    assert "still starting: fusion" in capsys.readouterr().out


def test_it_says_where_it_is_and_names_the_services_in_its_log(serving: Serving, environment: dict[str, str]) -> None:
    url = f"http://127.0.0.1:{environment['MELALOG_ORCHESTRATOR_BIND_PORT']}"
    assert url in serving.text()
    assert "melalog assess" in serving.text()
    for name in ("orchestrator", "classifier", "vlm", "fusion"):
        assert f"{name} │" in serving.text()
    serving.process.send_signal(signal.SIGINT)
    assert serving.ends() == 0


def test_the_sandbox_is_the_orchestrator_alone(environment: dict[str, str], tmp_path: Path) -> None:
    sandbox = Serving(environment, tmp_path / "sandbox.log", "--sandbox")
    try:
        assert "This is the sandbox" in sandbox.text()
        assert "classifier │" not in sandbox.text()
        url = f"http://127.0.0.1:{environment['MELALOG_ORCHESTRATOR_BIND_PORT']}/v1/assessments"
        files = {"image": ("high.jpg", encode(lesion()))}
        assert httpx2.post(url, files=files, trust_env=False).json()["risk"]["level"] == "high"
    finally:
        sandbox.process.send_signal(signal.SIGINT)
    assert sandbox.ends() == 0


def test_when_one_service_dies_the_others_are_stopped(serving: Serving) -> None:
    vlm = next(p for p in serving.family if any("VlmService" in word for word in p.cmdline()))
    for process in [*vlm.children(recursive=True), vlm]:
        process.kill()
    assert serving.ends() == 1
    assert "vlm has ended" in serving.text()


def test_sigterm_ends_it_and_even_a_kill_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    first = Serving(environment, tmp_path / "first.log")
    first.process.terminate()
    assert first.ends() == 0
    second = Serving(environment, tmp_path / "second.log")
    second.process.kill()
    second.ends()


def test_a_taken_port_is_an_error_before_anything_starts(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["MELALOG_VLM_BIND_PORT"])))
        taken.listen()
        done = subprocess.run(
            [str(MELALOG), "serve"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert f"port {environment['MELALOG_VLM_BIND_PORT']} (vlm) is in use" in done.stdout
    assert "MELALOG_VLM_BIND_PORT" in done.stdout
    assert "bentoml" not in done.stdout.lower()


def test_a_tampered_model_is_refused_at_start(environment: dict[str, str], tmp_path: Path) -> None:
    released = Path("models/released/classifier")
    copy = tmp_path / "tampered"
    copy.mkdir()
    for file in released.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    model = copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    done = subprocess.run(
        [str(MELALOG), "serve"],
        env={**environment, "MELALOG_CLASSIFIER_ARTIFACT": str(copy)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "SHA-256 differs" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_impossible_engine_setting_is_refused_at_start(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(MELALOG), "serve"],
        env={**environment, "MELALOG_VLM_ENGINE": "openai"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "needs MELALOG_VLM_BASE_URL" in done.stdout
    assert not left(Path(environment["BENTOML_HOME"])), "those that were still starting were stopped too"


def test_assess_without_a_server_says_what_to_do(environment: dict[str, str], tmp_path: Path) -> None:
    picture = tmp_path / "lesion.jpg"
    picture.write_bytes(encode(lesion()))
    done = subprocess.run(
        [str(MELALOG), "assess", str(picture)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "melalog serve" in done.stderr
    assert "Traceback" not in done.stderr
