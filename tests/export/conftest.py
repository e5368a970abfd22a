"""Runs and artifacts shared by several tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.export.factory import PLAN, melalog, write_data


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two runs of the same plan, an artifact of the first, and one of both with two views; read-only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    work = tmp_path_factory.mktemp("release")
    data = write_data(work / "data")
    (work / "plan.yaml").write_text(PLAN)
    for seed in ("1", "2"):
        run = ("--out", work / f"run{seed}", "--data", data, "--config", work / "plan.yaml", "--set", f"seed={seed}")
        melalog("train", "classifier", *run, "--only-train")
    for name, runs, views in (("one", ["run1"], "1"), ("both", ["run1", "run2"], "2")):
        options = ("--out", work / name, "--data", data, "--config", work / "plan.yaml", "--version", "2.0.0")
        melalog("export", "classifier", *[work / run for run in runs], *options, "--views", views)
    yield work
    torch.set_num_threads(threads)
