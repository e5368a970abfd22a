"""A header is read, anything else refused."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from models.common import safetensors_header


def test_names_shapes_and_where_the_tensors_begin(tmp_path: Path) -> None:
    save_file({"a": np.zeros((2, 3), np.float32)}, tmp_path / "w.safetensors", {"made": "here"})
    header, begin = safetensors_header.read(tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").stat().st_size == begin + 24
    assert list(header) == ["a"], "its metadata is no tensor"
    assert header["a"]["shape"] == [2, 3]
    assert header["a"]["dtype"] == "F32"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_bytes_that_are_no_header_are_a_value_error(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(data)
    with suppress(ValueError):  # and nothing else
        assert isinstance(safetensors_header.read(file)[0], dict)


def test_an_absurd_length_reads_nothing(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="not a safetensors file"):
        safetensors_header.read(file)
