"""The four services as child processes, which end with this one."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from services.common.settings import Settings

ROOT = Path(__file__).parents[1]
GRACE_S, POLL_S = 8.0, 0.1
MARK = "MELALOG_STARTED_AS"
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Service:
    """One of the four: its name, its Bento class and its port."""

    name: str
    target: str
    port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Its address from this machine."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def services(settings: Settings) -> tuple[Service, ...]:
    """The services as configured: in the sandbox the orchestrator alone.

    Only the orchestrator listens on MELALOG_HOST: the others have no sign-in and stay on 127.0.0.1.
    """
    orchestrator = Service(
        "orchestrator",
        "services.orchestrator.service:OrchestratorService",
        settings.orchestrator_bind_port,
        settings.host,
    )
    if settings.sandbox:
        return (orchestrator,)
    return (
        Service("classifier", "services.classifier.service:ClassifierService", settings.classifier_bind_port),
        Service("vlm", "services.vlm.service:VlmService", settings.vlm_bind_port),
        Service("fusion", "services.fusion.service:FusionService", settings.fusion_bind_port),
        orchestrator,
    )


def environment(settings: Settings, name: str) -> dict[str, str]:
    """A child's environment: the services' URLs, and its own BentoML home (which stores metrics by process)."""
    home = Path(os.environ.get("BENTOML_HOME", ROOT / ".bentoml")) / "serve" / name
    home.mkdir(parents=True, exist_ok=True)
    urls = {f"MELALOG_{service.name.upper()}_URL": service.url for service in services(settings)[:-1]}
    addresses = {key: os.environ.get(key, url) for key, url in urls.items()}
    return {
        **os.environ,
        **addresses,
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONUNBUFFERED": "1",
    }


def die_with_parent() -> None:
    """On Linux the kernel ends the child even if this process is killed."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child(subprocess.Popen[str]):
    """A started service. Its mark is in the environment of all its descendants."""

    mark: str = ""


def start(service: Service, settings: Settings, output: IO[str] | int = subprocess.PIPE) -> Child:
    """`bentoml serve` in its own process group, so that Ctrl-C reaches it only through this process."""
    bentoml = Path(sys.executable).with_name("bentoml")
    mark = uuid.uuid4().hex
    child = Child(
        [
            str(bentoml), "serve", service.target, "--host", service.host, "--port", str(service.port),
            "--working-dir", str(ROOT),
        ],
        cwd=ROOT,
        env={**environment(settings, service.name), MARK: mark},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    child.mark = mark
    return child


def stop(children: Sequence[Child]) -> None:
    """Stop all children and their descendants: SIGTERM first, SIGKILL after GRACE_S.

    Descendants are found by mark and not by parent: a supervisor that is stopped while it starts can leave a worker
    behind that it started a moment later.
    """
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    marks = {child.mark for child in children if child.mark}
    end = time.monotonic() + GRACE_S
    while left := _marked(marks):
        if time.monotonic() > end:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        elif all(child.poll() is not None for child in children):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()
        time.sleep(POLL_S)
    for child in children:
        child.wait()


def _marked(marks: set[str]) -> list[psutil.Process]:
    """Running processes with one of these marks."""
    marked = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) in marks and process.status() != psutil.STATUS_ZOMBIE:
                marked.append(process)
    return marked


def forward(stream: IO[str], prefix: str) -> None:
    """Print a child's output, each line with the prefix, until the child closes it."""
    for line in stream:
        print(f"{prefix} {line.rstrip()}", flush=True)
