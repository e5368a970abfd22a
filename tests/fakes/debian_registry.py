"""A real registry where Debian's docker-registry is installed: no fake, beside the small one that is."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import free_ports

CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: 127.0.0.1:{port}}}
log: {{level: error}}
"""


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Its port on this machine; the test is skipped where there is none."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    (port,) = free_ports(1)
    config = folder / "registry.yml"
    config.write_text(CONFIG.format(folder=folder / "registry", port=port))
    with subprocess.Popen([program, "serve", config], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/v2/")
            yield port
        finally:
            server.terminate()


def _wait(url: str) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            httpx2.get(url, trust_env=False).raise_for_status()
        except httpx2.HTTPError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"nothing at {url}")
