"""Log-odds and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.common.logits import logit, sigmoid


@given(st.floats(-13, 13))
def test_they_undo_each_other(z: float) -> None:
    assert float(logit(sigmoid(z), clip=1e-9)) == pytest.approx(z, abs=1e-6)


@given(st.floats(allow_nan=False))
def test_a_probability_for_any_logit_and_no_warning(z: float) -> None:
    assert 0 <= float(sigmoid(z)) <= 1


@given(st.floats(0, 1))
def test_a_finite_logit_for_any_probability(p: float) -> None:
    assert abs(float(logit(p))) <= abs(float(logit(0.0)))
    assert np.isfinite(logit(p))
