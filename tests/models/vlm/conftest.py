"""One base and one data set for all tests of fine-tuning, and a fresh accelerate for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState

from tests.models.classifier import tiny as classifier_tiny
from tests.models.vlm import tiny


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier_tiny.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    """Its settings are global; so small a network is slower on two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001
    GradientState._reset_state()  # noqa: SLF001
    torch.set_num_threads(before)
