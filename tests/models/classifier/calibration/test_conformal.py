"""Sets that hold the diagnosis as often as they say, class by class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from models.classifier.calibration import conformal
from models.classifier.data.labels import CLASSES

N = len(CLASSES)
SHARES = np.array([0.05, 0.05, 0.1, 0.02, 0.11, 0.65, 0.02])


def sample(n: int, seed: int, sharpness: float) -> tuple[conformal.Array, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Probabilities that favour the diagnosis more or less; diagnoses as rare as in HAM10000."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(N, n, p=SHARES / SHARES.sum())
    return softmax(rng.normal(0, 1, (n, N)) + sharpness * np.eye(N)[labels], axis=1), labels


@settings(max_examples=5)
@given(st.integers(0, 10_000), st.floats(0, 4), st.sampled_from([0.05, 0.1, 0.2]))
def test_every_class_is_covered_as_promised(seed: int, sharpness: float, alpha: float) -> None:
    """Fitted on half, counted on the other half, averaged over draws: at least 1 - alpha for each class."""
    covered = np.zeros((25, N))
    for draw in range(25):
        p, labels = sample(1200, seed + 31 * draw, sharpness)
        inside = conformal.sets(p[600:], conformal.fit(p[:600], labels[:600], alpha))
        hit = inside[np.arange(600), labels[600:]]
        covered[draw] = [hit[labels[600:] == c].mean() if (labels[600:] == c).any() else np.nan for c in range(N)]
    noise = 4 * np.nanstd(covered, axis=0) / np.sqrt(25)
    assert np.all(np.nanmean(covered, axis=0) >= 1 - alpha - noise - 1e-9)


def test_a_class_with_too_few_pictures_is_always_in() -> None:
    p, labels = sample(400, 0, 1.0)
    found = conformal.fit(p[labels != 3], labels[labels != 3])
    assert found[3] == 0
    assert conformal.sets(p, found)[:, 3].all()


def test_coverage_is_measured_on_groups_that_were_not_fitted_on() -> None:
    p, labels = sample(4000, 1, 2.0)
    measured = conformal.measure(p, labels, [f"g{i // 2}" for i in range(4000)], 0.1)
    assert measured.overall == pytest.approx(0.9, abs=0.02)
    assert 1 <= measured.set_size < N
    # One group: whichever half it falls in, the other has nothing to fit on and every class is in.
    alone = conformal.measure(p[:50], labels[:50], ["g"] * 50, 0.1)
    assert (alone.overall, alone.set_size) == (1.0, N)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0])
def test_an_impossible_promise_is_refused(alpha: float) -> None:
    p, labels = sample(40, 0, 1.0)
    with pytest.raises(ValueError, match="alpha"):
        conformal.fit(p, labels, alpha)
