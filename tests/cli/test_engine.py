"""`melalog engine` as a person uses it, with a stand-in for vLLM and for nvidia-smi."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.conftest import free_ports

MAIN = "from cli import engine; import typer; typer.run(engine.command)"
ENGINE = """#!{python}
import http.server, json, subprocess, sys, time
model, port, *options = sys.argv[1:]
print("engine options", json.dumps(options), flush=True)
if {dies}:
    sys.exit("no such device")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
names = [options[options.index("--served-model-name") + 1]]
if "--lora-modules" in options:
    names.append(options[options.index("--lora-modules") + 1].split("=")[0])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        top = [{{"token": "Yes", "logprob": -0.1}}] if {logprobs} else None
        body = json.dumps({{"choices": [{{"logprobs": {{"content": [{{"top_logprobs": top}}]}}}}]}}).encode()
        self.send_response(200 if asked["model"] in names else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
time.sleep(0.5)
http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Answer).serve_forever()
"""


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def fake(tmp_path: Path) -> str:
    return str(script(tmp_path / "engine", ENGINE.format(python=sys.executable, dies=False, logprobs=True)))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A checkpoint of another architecture: its layout is vLLM's business."""
    folder = tmp_path / "release" / "merged"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    (folder / "model.safetensors").write_bytes(b"\0" * 1000)
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "lora"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    return folder


def line(*arguments: object) -> list[str]:
    return [sys.executable, "-c", MAIN, *map(str, arguments)]


def failure_of(*arguments: object, path: Path | None = None, **environment: str) -> str:
    """What it says when it cannot start; it must end by itself, with status 1."""
    variables = {key: value for key, value in os.environ.items() if key != "MELALOG_ENGINE"}
    variables["PATH"] = str(path) if path else "/nowhere"
    ended = subprocess.run(
        line(*arguments), env=variables | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


def smi(folder: Path, answer: str) -> Path:
    folder.mkdir()
    script(folder / "nvidia-smi", f"#!/bin/sh\necho '{answer}'\n")
    return folder


class Started:
    """A `melalog engine` that says the engine answers."""

    def __init__(self, log: Path, *arguments: object, engine: str) -> None:
        self.log = log
        with log.open("w") as sink:
            self.process = subprocess.Popen(
                line(*arguments),
                env={**os.environ, "MELALOG_ENGINE": engine, "PYTHONUNBUFFERED": "1"},
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while "Ctrl-C stops it" not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < end, self.text()
            time.sleep(0.1)
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def ends(self) -> int:
        status = self.process.wait(30)
        _, left = psutil.wait_procs(self.family, timeout=5)
        assert not left
        return status


@pytest.fixture
def started(tmp_path: Path, other: Path, adapter: Path, fake: str) -> Iterator[tuple[Started, int]]:
    port = free_ports(1)[0]
    (other.parent / "manifest.json").write_text("{}")
    one = Started(
        tmp_path / "log", other.parent, "--port", port, "--adapter", f"tuned={adapter}", "--name", "base", engine=fake
    )
    yield one, port
    if one.process.poll() is None:
        one.process.send_signal(signal.SIGINT)
        one.process.wait(30)


def test_it_waits_and_says_what_to_export_and_ctrl_c_stops_it_all(started: tuple[Started, int], other: Path) -> None:
    running, port = started
    assert len(running.family) == 2, "the engine and its child"
    text = running.text()
    assert "export MELALOG_VLM_ENGINE=openai" in text
    assert f"export MELALOG_VLM_BASE_URL=http://127.0.0.1:{port}/v1" in text
    assert "export MELALOG_VLM_MODEL=tuned" in text
    assert f"export MELALOG_VLM_ARTIFACT={other.parent}" in text
    options = json.loads(text.split("engine options", 1)[1].splitlines()[0])
    assert options[:2] == ["--served-model-name", "base"]
    assert "--enable-lora" in options
    running.process.send_signal(signal.SIGINT)
    assert running.ends() == 0
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"http://127.0.0.1:{port}", trust_env=False)


def test_killed_outright_it_leaves_no_engine(started: tuple[Started, int]) -> None:
    running, _ = started
    running.process.kill()
    running.process.wait(10)
    gone, _ = psutil.wait_procs(running.family[:1], timeout=10)
    assert gone


def test_an_engine_that_ends_is_an_error(started: tuple[Started, int]) -> None:
    running, _ = started
    running.family[0].kill()
    assert running.process.wait(30) == 1
    assert "the engine has ended" in running.text()


def test_an_engine_that_ends_before_it_is_ready(tmp_path: Path, other: Path) -> None:
    engine = script(tmp_path / "dies", ENGINE.format(python=sys.executable, dies=True, logprobs=True))
    text = failure_of(other, "--port", free_ports(1)[0], MELALOG_ENGINE=str(engine))
    assert "ended before it was ready (status 1)" in text
    assert "no such device" in text


def test_an_engine_that_drops_logprobs_is_never_ready(tmp_path: Path, other: Path) -> None:
    engine = script(tmp_path / "drops", ENGINE.format(python=sys.executable, dies=False, logprobs=False))
    text = failure_of(other, "--port", free_ports(1)[0], "--wait-s", 3, MELALOG_ENGINE=str(engine))
    assert "without logprobs" in text


def test_no_gpu(other: Path, tmp_path: Path) -> None:
    assert "no NVIDIA GPU" in failure_of(other)
    assert "no NVIDIA GPU" in failure_of(other, path=smi(tmp_path / "bin", "No devices were found"))


def test_too_little_gpu_memory(other: Path, tmp_path: Path) -> None:
    with (other / "model.safetensors").open("wb") as file:
        file.truncate(21_300_000_000)
    text = failure_of(other, path=smi(tmp_path / "bin", "22528, 24564"))
    assert "21.3 GB of weights need about 27 GB, and 24 of 26 GB are free" in text
    assert "a larger GPU" in text


def test_vllm_is_not_installed(other: Path, tmp_path: Path) -> None:
    text = failure_of(other, path=smi(tmp_path / "bin", "80000, 81559"))
    assert "--require-hashes -r services/vlm/engine/vllm/upgrade.txt" in text


def test_the_port_is_taken(other: Path, fake: str, started: tuple[Started, int]) -> None:
    _, port = started
    assert f"port {port} is in use" in failure_of(other, "--port", port, MELALOG_ENGINE=fake)


def test_folders_that_are_no_checkpoint(tmp_path: Path, other: Path, adapter: Path, fake: str) -> None:
    (empty := tmp_path / "empty").mkdir()
    assert "is not there" in failure_of(tmp_path / "gone", MELALOG_ENGINE=fake)
    assert "no config.json" in failure_of(empty, MELALOG_ENGINE=fake)
    assert "melalog export vlm" in failure_of(adapter, MELALOG_ENGINE=fake)
    assert "no readable adapter_config.json" in failure_of(other, "--adapter", f"x={empty}", MELALOG_ENGINE=fake)
    assert "NAME=DIR" in failure_of(other, "--adapter", "x", MELALOG_ENGINE=fake)
    assert "not a command" in failure_of(other, MELALOG_ENGINE="/nowhere/engine")
    (other / "config.json").write_text("{")
    assert "damaged" in failure_of(other, MELALOG_ENGINE=fake)


def test_a_checkpoint_with_code_in_it_is_not_served(other: Path, fake: str) -> None:
    (other / "processor_config.json").write_text('{"auto_map": {"AutoProcessor": "other--code.Own"}}')
    (other / "modeling.py").touch()
    assert "contains code (modeling.py, processor_config.json)" in failure_of(other, MELALOG_ENGINE=fake)


def test_llama_takes_no_adapters_and_its_layout_is_checked(other: Path, adapter: Path, fake: str) -> None:
    (other / "config.json").write_text('{"model_type": "mllama"}')
    text = failure_of(other, "--adapter", f"tuned={adapter}", MELALOG_ENGINE=fake)
    assert "cannot serve adapters on Llama 3.2 Vision" in text
    assert "melalog export vlm" in text
    assert "tokenizer.json is missing" in failure_of(other, MELALOG_ENGINE=fake)
