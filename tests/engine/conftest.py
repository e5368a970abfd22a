"""A real vLLM for as long as a test wants it. MELALOG_ENGINE: a command that takes MODEL_DIR PORT OPTIONS."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.vlm.serving.artifact import MANIFEST, RELEASED, VlmArtifact
from models.vlm.serving.preprocess import LLAMA, View
from services.vlm.core import QUESTION
from services.vlm.engine.vllm.ready import probe
from tests.conftest import free_ports
from tests.engine import tiny

START_S = 240
ENGINES = Path(os.environ.get("MELALOG_ENGINES", Path.home() / ".cache" / "melalog"))


def python_of(which: str) -> Path:
    """Python of an environment that tests/engine/install.sh makes: `current` or `pinned`."""
    python = ENGINES / f"vllm-{which}" / "venv" / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"{python} is not there: tests/engine/install.sh makes it")
    return python


class Engine:
    """An engine process that can be killed, frozen and started again on its port."""

    def __init__(self, command: Sequence[str], options: Sequence[str], log: Path) -> None:
        self.port = free_ports(1)[0]
        self.log = log
        self._line = [part.format(port=self.port) for part in (*command, *options)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self, model: str = "melalog", *, pictures: bool = True) -> None:
        """Returns when it answers about a picture, or at all."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
        environment |= {"VLLM_NO_USAGE_STATS": "1"}
        with self.log.open("a") as sink:
            self._process = subprocess.Popen(
                self._line, env=environment, stdout=sink, stderr=sink, start_new_session=True
            )
        end = time.monotonic() + START_S
        wanted = "" if pictures else "it answered 400"
        while probe(self.url, model) != wanted:
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.5)

    def send(self, number: signal.Signals) -> None:
        """To it and its children."""
        assert self._process is not None
        os.killpg(self._process.pid, number)
        if number == signal.SIGKILL:
            self._process.wait(10)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGKILL)


@dataclass(frozen=True)
class Served:
    """A checkpoint the engine serves, how it is to be asked, and the release that says so."""

    folder: Path
    question: str
    view: View
    artifact: Path | None


@pytest.fixture(scope="session")
def command() -> list[str]:
    """The engine's command line up to its options."""
    if not (own := os.environ.get("MELALOG_ENGINE")):
        pytest.skip("MELALOG_ENGINE is not set: it names the command that starts a real vLLM")
    return [own]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> Served:
    """The released model merged for the engine; until there is one, random weights."""
    folder = tmp_path_factory.mktemp("checkpoint") / "merged"
    if not (RELEASED / MANIFEST).is_file():
        tiny.mllama(folder)
        return Served(folder, QUESTION, LLAMA, None)
    from export import vlm  # noqa: PLC0415  (it needs the train extra)

    vlm.merge(RELEASED / "base", RELEASED / "adapter", folder, "float32")
    manifest = VlmArtifact.load(RELEASED).manifest
    return Served(folder, manifest.question, manifest.input, RELEASED)


@pytest.fixture(scope="session")
def engine(command: list[str], served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The real engine with that model."""
    one = Engine(command, [str(served.folder), "{port}"], tmp_path_factory.mktemp("engine") / "log")
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def text_only(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The real engine with a model that cannot see."""
    folder = tmp_path_factory.mktemp("text")
    tiny.llama(folder / "model")
    one = Engine(command, [str(folder / "model"), "{port}"], folder / "log")
    one.start(pictures=False)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def adapting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A current vLLM with a base, `melalog`, and an adapter on it loaded at start, `tuned`."""
    if "MELALOG_ENGINE" not in os.environ:
        pytest.skip("MELALOG_ENGINE is not set")
    python = python_of("current")
    folder = tmp_path_factory.mktemp("lora")
    tiny.qwen(folder / "base")
    tiny.adapter(folder / "base", folder / "tuned")
    module = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", "{port}"]
    options = ["--model", str(folder / "base"), "--served-model-name", "melalog", "--max-model-len", "512"]
    options += ["--max-num-seqs", "4", "--enforce-eager", "--dtype", "float32", "--max-logprobs", "20"]
    options += ["--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"tuned={folder / 'tuned'}"]
    one = Engine(module, options, folder / "log")
    one.start()
    yield one
    one.stop()
