"""The four services as child processes that never outlive this one."""

import ctypes
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from services.common.settings import Settings

ROOT = Path(__file__).parents[1]
GRACE_S = 8.0
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Service:
    """One of the four: its name, its Bento class and its port."""

    name: str
    target: str
    port: int


def services(settings: Settings) -> tuple[Service, ...]:
    """The four services as configured."""
    return (
        Service("classifier", "services.classifier.service:ClassifierService", settings.classifier_bind_port),
        Service("vlm", "services.vlm.service:VlmService", settings.vlm_bind_port),
        Service("fusion", "services.fusion.service:FusionService", settings.fusion_bind_port),
        Service("orchestrator", "services.orchestrator.service:OrchestratorService", settings.orchestrator_bind_port),
    )


def environment(settings: Settings, name: str) -> dict[str, str]:
    """A child's environment: the services' URLs, and a BentoML home of its own (metrics are kept there by process)."""
    home = Path(os.environ.get("BENTOML_HOME", ROOT / ".bentoml")) / "serve" / name
    home.mkdir(parents=True, exist_ok=True)
    urls = {
        "MELALOG_CLASSIFIER_URL": settings.url(settings.classifier_bind_port),
        "MELALOG_VLM_URL": settings.url(settings.vlm_bind_port),
        "MELALOG_FUSION_URL": settings.url(settings.fusion_bind_port),
    }
    chosen = {key: os.environ.get(key, url) for key, url in urls.items()}
    return {**os.environ, **chosen, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "PYTHONUNBUFFERED": "1"}


def _die_with_parent() -> None:
    """Linux: have the kernel end the child even if this process is killed outright."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(service: Service, settings: Settings, output: IO[str] | int = subprocess.PIPE) -> "subprocess.Popen[str]":
    """`bentoml serve` in a process group of its own, so that Ctrl-C reaches it only through us."""
    bentoml = Path(sys.executable).with_name("bentoml")
    return subprocess.Popen(
        [
            str(bentoml), "serve", service.target, "--host", settings.host, "--port", str(service.port),
            "--working-dir", str(ROOT),
        ],
        cwd=ROOT,
        env=environment(settings, service.name),
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509  (one prctl call, before any thread is started)
    )  # fmt: skip


def stop(children: list["subprocess.Popen[str]"]) -> None:
    """Ask all to finish, wait, then kill whatever is left of them, workers included."""
    family: list[psutil.Process] = []
    for child in children:
        try:
            parent = psutil.Process(child.pid)
            family += [*parent.children(recursive=True), parent]
        except psutil.NoSuchProcess:
            continue
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=GRACE_S)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=GRACE_S)
    for child in children:
        child.wait()


def forward(stream: IO[str], prefix: str) -> None:
    """Print a child's lines with its name in front, until it closes its output."""
    for line in stream:
        print(f"{prefix} {line.rstrip()}", flush=True)
