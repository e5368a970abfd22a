"""The gate: what is like the fitted pictures passes, what is not does not, and the module computes the formula."""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.classifier.evaluation import non_lesions
from models.classifier.network import ood as gate
from models.classifier.network.ood import OodDetector, OodError

D = 40
F = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def sample(
    n: int, seed: int
) -> tuple[F, np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Two modalities, three diagnoses, in eight of forty directions; one in five is a photograph."""
    rng, world = np.random.default_rng(seed), np.random.default_rng(99)
    directions, diagnoses, taken = world.normal(0, 1, (8, D)), world.normal(0, 2, (3, 8)), world.normal(0, 3, (2, 8))
    labels, photograph = rng.integers(0, 3, n), rng.random(n) < 0.2
    inner = diagnoses[labels] + taken[photograph.astype(int)] + rng.normal(0, 1, (n, 8))
    return (inner @ directions + rng.normal(0, 0.3, (n, D))).astype(np.float32), labels, photograph


def run(module: OodDetector, features: F) -> tuple[F, F]:
    with torch.inference_mode():
        ood, photograph = module(torch.from_numpy(features))
    return ood.numpy(), photograph.numpy()


@cache
def fitted(rank: int = 8) -> OodDetector:
    parameters = gate.fit(*sample(1500, 0), rank=rank)
    unseen, _, photograph = sample(1500, 1)
    return OodDetector(gate.scale(parameters, unseen, photograph, (0.99, 0.975)))


def test_unseen_pictures_pass_at_the_wanted_rate_and_strange_ones_do_not() -> None:
    module = fitted()
    unseen, _, photograph = sample(3000, 2)
    ood, told = run(module, unseen)
    assert (ood[~photograph] <= 1).mean() == pytest.approx(0.99, abs=0.01)
    assert (ood[photograph] <= 1).mean() >= 0.95
    assert ((told >= 0.5) == photograph).mean() > 0.95
    away = np.random.default_rng(3).normal(0, 1, (200, D)).astype(np.float32) * unseen.std() * 2
    assert (run(module, away)[0] > 1).mean() > 0.95


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(2, 50))
def test_further_away_is_never_less_strange(seed: int, factor: float) -> None:
    module = fitted()
    direction = np.random.default_rng(seed).normal(0, 1, D).astype(np.float32)
    far, further = (run(module, (50 * step * direction)[None])[0][0] for step in (1, factor))
    assert further > far > 1


def test_the_distance_is_mahalanobis_to_the_nearest_mean() -> None:
    parameters = gate.fit(*sample(1500, 0), rank=8)
    features, _, _ = sample(20, 5)
    z = (features - parameters.centre) / parameters.spread
    projected = z @ parameters.directions
    left = (z**2).sum(1) - (projected**2).sum(1)
    for i, modality in enumerate(parameters.modalities):
        precision = modality.whitening @ modality.whitening.T
        away = projected[:, None] - modality.means[None]
        nearest = np.einsum("nmi,ij,nmj->nm", away, precision, away).min(1)
        found = OodDetector(parameters).distances(torch.from_numpy(features))[i].numpy()
        assert found == pytest.approx(nearest / 8 + left / modality.residual, rel=1e-3)


def test_a_gate_needs_both_modalities() -> None:
    features, labels, photograph = sample(100, 0)
    with pytest.raises(OodError, match="both modalities"):
        gate.fit(features, labels, np.zeros_like(photograph))


def test_pictures_that_are_no_lesions_are_drawn_the_same_every_time() -> None:
    first, second = non_lesions.pictures(2, 7), non_lesions.pictures(2, 7)
    assert {"frame", "document", "screenshot", "cat", "plant"} < set(first)
    for kind, drawn in first.items():
        assert [picture.tobytes() for picture in drawn] == [picture.tobytes() for picture in second[kind]]
        assert {(picture.mode, picture.size) for picture in drawn} == {("RGB", non_lesions.SIZE)}
