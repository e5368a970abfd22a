"""Losses against their formulas, worked out by hand for every picture."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.classifier.data.image_pool import allowed
from models.classifier.data.labels import CLASSES, MALIGNANT, MELANOMA
from models.classifier.data.table import Row
from models.classifier.training import losses
from models.classifier.training.config import Loss

SCORES = torch.randn(6, 7, generator=torch.Generator().manual_seed(0)) * 3
LABELS = torch.tensor([0, 1, 2, 4, 4, 6])


def row(dx: str) -> Row:
    return Row(Path("x"), dx, "g", "train", "s")


def of(labels: Tensor) -> Tensor:
    return functional.one_hot(labels, 7).bool()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torch_s(smoothing: float) -> None:
    found = losses.per_picture(SCORES, of(LABELS), Loss(label_smoothing=smoothing))
    expected = functional.cross_entropy(SCORES, LABELS, label_smoothing=smoothing, reduction="none")
    assert torch.allclose(found, expected, atol=1e-6)


@given(st.lists(st.floats(-8, 8), min_size=7, max_size=7), st.integers(0, 6), st.floats(0, 5))
def test_focal_loss_is_its_formula(scores: list[float], label: int, gamma: float) -> None:
    (found,) = losses.per_picture(
        torch.tensor([scores], dtype=torch.float64),
        of(torch.tensor([label])),
        Loss(name="focal", focal_gamma=gamma, label_smoothing=0),
    ).tolist()
    total = sum(math.exp(score) for score in scores)
    p = math.exp(scores[label]) / total
    assert found == pytest.approx(-((1 - p) ** gamma) * math.log(p), rel=1e-4, abs=1e-5)


def test_focal_loss_is_not_a_factor_on_the_mean_of_the_batch() -> None:
    """Seed mistake 13: (1 - exp(-mean))^gamma * mean treats an easy picture like a hard one."""
    scores = torch.zeros(2, 7)
    scores[0, 0] = 6.0
    mixed = losses.per_picture(scores, of(torch.tensor([0, 1])), Loss(name="focal", label_smoothing=0))
    plain = functional.cross_entropy(scores, torch.tensor([0, 1]), reduction="none")
    easy, hard = (mixed / plain).tolist()
    assert easy < 0.001
    assert hard > 0.7
    wrong = (1 - torch.exp(-plain.mean())) ** 2 * plain.mean()
    assert abs(float(mixed.mean() - wrong)) > 0.1


def test_a_label_that_leaves_the_diagnosis_open_counts_by_its_sum() -> None:
    rows = [row("malignant"), row("benign"), row("not_melanoma"), row("mel")]
    scores = SCORES[:4]
    p = scores.softmax(1)
    found = losses.per_picture(scores, allowed(rows), Loss(label_smoothing=0))
    benign = [i for i in range(7) if i not in MALIGNANT]
    expected = torch.stack([p[0, list(MALIGNANT)].sum(), p[1, benign].sum(), 1 - p[2, MELANOMA], p[3, MELANOMA]])
    assert torch.allclose(found, -expected.log(), atol=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_the_gradient_is_finite_where_the_answer_is_certain(name: str) -> None:
    scores = torch.zeros(2, 7)
    scores[:, 0] = 200.0
    scores.requires_grad_()
    losses.per_picture(scores, of(torch.tensor([0, 1])), Loss(name=name, focal_gamma=0.5)).sum().backward()  # type: ignore[arg-type,no-untyped-call]
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_the_soft_targets_draw_the_student_to_the_teacher() -> None:
    teacher, student = SCORES[:3], torch.zeros(3, 7, requires_grad=True)
    wanted = (teacher / 2).softmax(1)
    for _ in range(60):
        (slope,) = torch.autograd.grad(losses.soft_targets(student, teacher, 2.0).sum(), student)
        # d KL / d scores = temperature * (softmax(student / T) - softmax(teacher / T))
        assert torch.allclose(slope, 2 * ((student / 2).softmax(1) - wanted), atol=1e-5)
        student = (student - 3 * slope).detach().requires_grad_()
    assert torch.allclose((student / 2).softmax(1), wanted, atol=0.01)
    assert float(losses.soft_targets(teacher, teacher, 2.0).abs().max()) < 1e-6


def test_the_teacher_gets_no_gradient() -> None:
    teacher = SCORES.clone().requires_grad_()
    student = torch.zeros(6, 7, requires_grad=True)
    losses.soft_targets(student, teacher, 2.0).sum().backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None
    assert student.grad is not None


def test_class_weights_balance_and_keep_the_mean() -> None:
    rows = [row("nv")] * 8 + [row("mel")] * 2 + [row("benign")] * 2
    weights = losses.label_weights(rows, "balanced")
    assert float(weights.mean()) == pytest.approx(1)
    assert float(weights[:8].sum()) == pytest.approx(float(weights[8:10].sum())) == pytest.approx(4.0)
    named = losses.label_weights(rows, {"mel": 5})
    assert float(named[8] / named[0]) == pytest.approx(5)
    assert torch.equal(losses.label_weights(rows, None), torch.ones(12))


def test_every_class_can_be_allowed() -> None:
    assert allowed([row(name) for name in CLASSES]).equal(torch.eye(7).bool())
