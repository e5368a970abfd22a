"""The heat map: Grad-CAM of melanoma against the mean class, worked out by hand so that it can stand in the graph."""

from typing import Any

import torch
from torch import Tensor, nn

from models.classifier.data.labels import MELANOMA


def activation_map(network: Any, features: Tensor) -> Tensor:
    """Last features [N, C, h, w] to a map [N, h, w], not negative (Selvaraju et al. 2017).

    After global pooling and a linear classifier the gradient is the classifier's weight itself (Zhou et al. 2016); a
    layer norm between the two, as in ConvNeXt, bends it. `export.heatmap` refuses networks of which neither holds.
    """
    weight = network.get_classifier().weight
    gradient = (weight[MELANOMA] - weight.mean(0)).unsqueeze(0)
    norm = getattr(getattr(network, "head", None), "norm", None)
    if isinstance(norm, nn.LayerNorm):
        gradient = _through_norm(gradient * norm.weight, features.mean((2, 3)), norm.eps)
    return torch.relu((features * gradient[:, :, None, None]).sum(1))


def _through_norm(gradient: Tensor, pooled: Tensor, eps: float) -> Tensor:
    """Gradient behind a layer norm [1, C] to the gradient in front of it [N, C]."""
    deviation = torch.sqrt(pooled.var(1, unbiased=False, keepdim=True) + eps)
    normed = (pooled - pooled.mean(1, keepdim=True)) / deviation
    along = (gradient * normed).mean(1, keepdim=True)
    return (gradient - gradient.mean(1, keepdim=True) - normed * along) / deviation


def scaled(maps: Tensor) -> Tensor:
    """Each map [N, h, w] from 0 to 1, as pytorch-grad-cam scales it; a flat one is 0."""
    maps = maps - maps.amin((1, 2), keepdim=True)
    return maps / torch.clamp(maps.amax((1, 2), keepdim=True), min=1e-6)
