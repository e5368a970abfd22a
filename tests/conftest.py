"""The four services as real processes, started once for all tests that speak to them over HTTP."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest
from hypothesis import HealthCheck, settings

from cli import processes
from services.common.settings import Settings
from tests.fakes import openai_server
from tests.fakes.collector import Collector
from tests.fakes.openai_server import OpenAIServer

# A test that fails because the machine is busy is a bad test: no time limit for an example, none for making one.
settings.register_profile("melalog", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("melalog")

EXPLAINED = "The picture weighed most in this result, and your answers added a little to it."


@dataclass
class Running:
    """A started system or service: its URL and where its output goes."""

    url: str
    log: Path
    children: dict[str, processes.Child]
    ports: dict[str, int]

    def output(self) -> str:
        """Everything that was logged so far."""
        return self.log.read_text(errors="replace")


DATA = os.environ.get("MELALOG_DATA_DIR")
SYSTEMS = ("system", "observed")
"""Fixtures that start all four services, one after the other on one worker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `pytest -n 2`: a running system, and what a module or a folder shares, is started by one worker only."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        used = next((name for name in SYSTEMS if name in fixtures), "")
        group = used or ("export" if "work" in fixtures else item.nodeid.partition("::")[0])
        item.add_marker(pytest.mark.xdist_group(group))
        if used:
            item.add_marker("system")


@pytest.fixture(autouse=True)
def _same_data_for_every_test() -> None:
    """Commands that are told where the pictures are set the variable for good: in a test that is too long."""
    if DATA is None:
        os.environ.pop("MELALOG_DATA_DIR", None)
    else:
        os.environ["MELALOG_DATA_DIR"] = DATA


def free_ports(n: int) -> list[int]:
    """Ports that nothing listens on at the moment."""
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def running(names: tuple[str, ...], folder: Path, environment: dict[str, str]) -> Iterator[Running]:
    """Start these services with `bentoml serve`, wait for /readyz, stop them at the end."""
    ports = dict(zip(("orchestrator", "classifier", "vlm", "fusion"), free_ports(4), strict=True))
    variables = {f"MELALOG_{name.upper()}_BIND_PORT": str(port) for name, port in ports.items()}
    before = dict(os.environ)
    os.environ.update({**variables, "BENTOML_HOME": str(folder), **environment})
    log = folder / "output.log"
    children: dict[str, processes.Child] = {}
    try:
        settings = Settings()
        with log.open("w") as sink:
            for service in processes.services(settings):
                if service.name in names:
                    children[service.name] = processes.start(service, settings, sink)
        deadline = time.monotonic() + 500
        for name in names:
            while not _ready(ports[name]):
                assert time.monotonic() < deadline, f"{name} is not ready:\n{log.read_text()}"
                assert children[name].poll() is None, f"{name} has ended:\n{log.read_text()}"
                time.sleep(0.2)
        yield Running(f"http://127.0.0.1:{ports['orchestrator']}", log, children, ports)
    finally:
        os.environ.clear()
        os.environ.update(before)
        processes.stop(list(children.values()))


def left(home: Path) -> list[list[str]]:
    """Command lines of processes that were started with this BentoML home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("BENTOML_HOME", "").startswith(str(home)):
                found.append(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=2, trust_env=False).is_success
    except httpx2.HTTPError:
        return False


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All four services as `make serve` starts them: the released models, no hosted one."""
    names = ("classifier", "vlm", "fusion", "orchestrator")
    with running(names, tmp_path_factory.mktemp("system"), {}) as started:
        yield started


@dataclass
class Observed:
    """The four services, the hosted model they ask, and the collector of their traces."""

    system: Running
    hosted: OpenAIServer
    collector: Collector


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """As `system`, with everything on that is measured and told outside."""
    said = {"level": "low", "key_reasons": [], "questions_for_doctor": [], "explanation": EXPLAINED}
    collector = Collector()
    with OpenAIServer(openai_server.text(json.dumps(said))) as hosted:
        environment = {
            "MELALOG_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100",
            "MELALOG_LLM_BASE_URL": hosted.base_url, "MELALOG_LLM_API_KEY": "a-key",
        }  # fmt: skip
        names = ("classifier", "vlm", "fusion", "orchestrator")
        before = dict(os.environ)
        with running(names, tmp_path_factory.mktemp("observed"), environment) as started:
            os.environ.clear()  # it lives as long as the session: other tests' services must not ask this hosted model
            os.environ.update(before)
            yield Observed(started, hosted, collector)
    collector.close()
