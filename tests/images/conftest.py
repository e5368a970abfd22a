"""The four images as containers: `melalog images`, then `python -m pytest -m images tests/images`."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from cli.images import container_engine as engine
from cli.images.image_error import ImageError
from cli.images.targets import SERVICES
from tests.conftest import free_ports

GRACE_S, START_S = 30, 90
# As compose.yaml and k8s/base run them.
HARDENED = (
    "--read-only", "--user", "10001:10001", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--tmpfs", "/tmp:size=512m,mode=1777",  # noqa: S108
    "--tmpfs", "/home/bentoml/bentoml-home:size=128m,mode=1777",
)  # fmt: skip


@dataclass
class Containers:
    """What the tests started with one engine, and how long each took to be ready."""

    engine: str
    folder: Path
    ports: dict[str, int]
    ids: dict[str, str] = field(default_factory=dict)
    ready_s: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['orchestrator']}"

    def run(self, *arguments: str, check: bool = True) -> str:
        """Both outputs of an engine's command."""
        done = subprocess.run(
            [self.engine, *arguments], capture_output=True, text=True, check=False, timeout=GRACE_S + 30
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, name: str, environment: Mapping[str, str], *arguments: str, options: tuple[str, ...] = ()) -> str:
        """On the machine's own network: its loopback, and no bridge is needed. Returns the container's id."""
        file = self.folder / f"{name}-{len(self.ids)}"
        given = [part for key, value in environment.items() for part in ("--env", f"{key}={value}")]
        command = ("run", "--detach", "--cidfile", str(file), "--network", "host", *HARDENED, *given, *options)
        self.run(*command, f"melalog-{name}:dev", *arguments)
        self.ids[file.name] = file.read_text()
        return self.ids[file.name]

    def python(self, container: str, code: str) -> str:
        return self.run("exec", container, "python", "-c", code).strip()

    def state(self, container: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.run("inspect", "--format", "{{json .State}}", container))
        return found


def wait(url: str, within_s: float) -> float:
    """Seconds until it answers 200, infinity when it does not."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < within_s:
        try:
            if httpx2.get(url, timeout=2, trust_env=False).is_success:
                return passed
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    return float("inf")


@pytest.fixture(scope="session")
def containers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The engine that `melalog images` would take; whatever is started with it is gone at the end."""
    if "images" not in request.config.option.markexpr:
        pytest.skip("runs containers: python -m pytest -m images tests/images")
    try:
        name = engine.find().name
    except ImageError as error:
        pytest.skip(str(error))
    if name == "buildah":
        pytest.skip("buildah builds images and does not run them: install podman or docker")
    found = Containers(name, tmp_path_factory.mktemp("images"), dict(zip(SERVICES, free_ports(4), strict=True)))
    for service in SERVICES:
        if subprocess.run(
            [name, "image", "inspect", f"melalog-{service}:dev"], capture_output=True, check=False
        ).returncode:
            pytest.skip(f"there is no melalog-{service}:dev: `melalog images` builds it")
    try:
        yield found
    finally:
        for container in found.ids.values():
            found.run("rm", "--force", container, check=False)


@pytest.fixture(scope="session")
def system(containers: Containers) -> Containers:
    """All four, ready; one after the other, so that each start is measured alone."""
    ports = containers.ports
    urls = {f"MELALOG_{name.upper()}_URL": f"http://127.0.0.1:{port}" for name, port in ports.items()}
    for name in reversed(SERVICES):
        own = {"BENTOML_HOST": "127.0.0.1", "BENTOML_PORT": str(ports[name])}
        containers.ids[name] = containers.start(name, {**urls, **own})
        containers.ready_s[name] = wait(f"http://127.0.0.1:{ports[name]}/readyz", START_S)
        assert containers.ready_s[name] < START_S, containers.run("logs", containers.ids[name])
    return containers
