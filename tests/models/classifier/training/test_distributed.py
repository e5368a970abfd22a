"""Two processes are one that accumulates: the same gradients, the same run, and one set of files."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.classifier.network import initial_weights
from models.classifier.training import log
from models.classifier.training.devices import Place
from models.classifier.training.folds import make_folds
from models.classifier.training.loop import Trainer
from tests.models.classifier import tiny
from tests.models.classifier.training import ddp_worker

ROOT = Path(__file__).parents[4]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def shared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two machines of one process each leave behind; they meet by address, as on a cluster."""
    out, port = tmp_path_factory.mktemp("shared"), free_port()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "tiny"]
    worker = [str(Path(__file__).with_name("ddp_worker.py")), str(data), str(out), "1"]
    machines = [
        subprocess.Popen(
            [*torchrun, *meet, "--local-addr", "127.0.0.1", *worker],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    told = [machine.communicate(timeout=170)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], "\n".join(told)
    return out


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    ddp_worker.main(str(data), str(out), 2)
    return out


def test_two_processes_have_the_gradients_of_one_that_accumulates(shared: Path, alone: Path) -> None:
    ours, theirs = (torch.load(folder / "gradients.pth", weights_only=True) for folder in (shared, alone))
    assert ours.keys() == theirs.keys()
    assert any(value.abs().max() > 1e-3 for value in theirs.values())
    for name, value in theirs.items():
        assert torch.allclose(ours[name], value, rtol=1e-4, atol=1e-6), name


def test_two_processes_end_as_one_that_accumulates(shared: Path, alone: Path) -> None:
    ours, theirs = (initial_weights.read(folder / "network.safetensors")[0] for folder in (shared, alone))
    for name, value in theirs.items():
        assert torch.allclose(ours[name].float(), value.float(), rtol=1e-2, atol=1e-4), name
    lines = [[json.loads(line) for line in (folder / log.FILE).read_text().splitlines()] for folder in (shared, alone)]
    assert [line["auc"] for line in lines[0]] == pytest.approx([line["auc"] for line in lines[1]])
    assert [line["loss"] for line in lines[0]] == pytest.approx([line["loss"] for line in lines[1]], rel=1e-3)
    assert len(lines[0]) == 2


def test_a_run_of_two_processes_is_not_gone_on_with_by_one(shared: Path, data: Path) -> None:
    config = tiny.plan(**ddp_worker.PLAN, accumulation=1)
    folds = make_folds(config, data)
    run = Trainer(config, folds.train, shared, folds.calibration, Place(torch.device("cpu")))
    with pytest.raises(ValueError, match="another number of processes"):
        run.run()
