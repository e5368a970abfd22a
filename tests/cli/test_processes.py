"""Stopping a service at any moment of its start leaves no process behind."""

import subprocess
import time
from pathlib import Path

import pytest

from cli import processes
from services.common.settings import Settings
from tests.conftest import free_ports, left


@pytest.mark.parametrize("delay", [0.3, 1.5, 2.0, 2.5, 3.0, 4.0])
def test_a_service_stopped_while_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay: float) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    (port,) = free_ports(1)
    fusion = processes.Service("fusion", "services.fusion.service:FusionService", port)
    child = processes.start(fusion, Settings(), subprocess.DEVNULL)
    time.sleep(delay)
    processes.stop([child])
    assert not left(tmp_path)
