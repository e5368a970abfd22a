"""Losses of seven-class scores, picture by picture: the mean is taken where weights and mixtures are known."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from models.classifier.data.table import Row
from models.classifier.training.config import Loss


def per_picture(scores: Tensor, allowed: Tensor, config: Loss) -> Tensor:
    """Loss [N] of scores [N, C], float, for labels that leave the classes `allowed` bool [N, C] open.

    -log of the summed probability of what is allowed (marginal likelihood): cross-entropy where that is one class.
    Focal (Lin et al. 2017): times (1 - p)^gamma with the p of the same picture.
    """
    log_p = functional.log_softmax(scores, 1)
    right = torch.logsumexp(log_p.masked_fill(~allowed, -torch.inf), 1)
    smooth = config.label_smoothing
    loss = -(1 - smooth) * right - smooth * log_p.mean(1)
    if config.name == "focal":
        # clamp: the slope of (1 - p)^gamma at p = 1 is infinite for gamma below 1
        loss = loss * (1 - right.exp()).clamp_min(1e-6) ** config.focal_gamma
    return loss


def soft_targets(scores: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence [N] from the softened teacher to the softened student, times temperature²
    so that its gradient does not shrink with it (Hinton et al. 2015). Scores [N, C]; the teacher gets no gradient.
    """
    student = functional.log_softmax(scores / temperature, 1)
    wanted = functional.log_softmax(teacher.detach() / temperature, 1)
    return functional.kl_div(student, wanted, reduction="none", log_target=True).sum(1) * temperature**2


def label_weights(rows: Sequence[Row], weights: Literal["balanced"] | dict[str, float] | None) -> Tensor:
    """Weight of each row's loss [N], of mean 1 over the rows so that the learning rate keeps its meaning."""
    if weights is None:
        return torch.ones(len(rows))
    counts = Counter(row.dx for row in rows)
    by_label = {dx: 1 / count for dx, count in counts.items()} if weights == "balanced" else weights
    found = torch.tensor([by_label.get(row.dx, 1.0) for row in rows])
    return found / found.mean()
