"""Random changes to a whole training batch at once: one affine grid, colour as tensor arithmetic.

Per picture the same changes halve the training rate on two cores (docs/architecture.md).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from models.classifier.training.config import Augmentation

_LUMA = (0.299, 0.587, 0.114)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low  # on the CPU: the same draws on every device


def _geometry(pictures: Tensor, size: int, config: Augmentation, generator: torch.Generator) -> Tensor:
    n = len(pictures)
    angle = _uniform(n, -1, 1, generator) * math.radians(config.rotate)
    zoom = torch.exp(_uniform(n, -1, 1, generator) * math.log(config.zoom))
    stretch = torch.exp(_uniform(n, -0.5, 0.5, generator) * math.log(config.aspect))
    flip = torch.where(torch.rand(n, generator=generator) < config.flip / 2, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = (
        torch.stack([cos * zoom * stretch * flip, -sin * zoom / stretch], 1),
        torch.stack([sin * zoom * stretch * flip, cos * zoom / stretch], 1),
    )
    shift = _uniform(2 * n, -config.shift, config.shift, generator).view(n, 2, 1)
    theta = torch.cat([torch.stack(rows, 1), shift], 2).to(pictures.device)
    grid = functional.affine_grid(theta, [n, 3, size, size], align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _colour(pictures: Tensor, config: Augmentation, generator: torch.Generator) -> Tensor:
    n = len(pictures)

    def factor(amount: float, width: int = 1) -> Tensor:
        return _uniform(n * width, 1 - amount, 1 + amount, generator).view(n, width, 1, 1).to(pictures.device)

    grey = (pictures * torch.tensor(_LUMA, device=pictures.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    pictures = torch.lerp(grey, pictures, factor(config.saturation))
    mean = grey.mean((2, 3), keepdim=True)
    pictures = (pictures - mean) * factor(config.contrast) + mean * factor(config.brightness)
    return (pictures * factor(config.tint, 3)).clamp(0, 1)


def _erase(pictures: Tensor, config: Augmentation, generator: torch.Generator) -> Tensor:
    size = pictures.shape[-1]
    for picture in pictures:
        if torch.rand((), generator=generator) < config.erase:
            height, width = (torch.randint(size // 8, size // 3, (2,), generator=generator)).tolist()
            top = int(torch.randint(0, size - height, (), generator=generator))
            left = int(torch.randint(0, size - width, (), generator=generator))
            colour = torch.rand(3, 1, 1, generator=generator).to(picture.device)
            picture[:, top : top + height, left : left + width] = colour
    return pictures


def resized(pictures: Tensor, size: int) -> Tensor:
    """uint8 [N, 3, S, S] to float [N, 3, size, size] in 0 to 1."""
    batch = pictures.float().div(255)
    if batch.shape[-1] == size:
        return batch
    return functional.interpolate(batch, (size, size), mode="bilinear", antialias=True, align_corners=False)


def augment(pictures: Tensor, size: int, config: Augmentation, generator: torch.Generator) -> Tensor:
    """uint8 [N, S, S, 3] to float [N, 3, size, size] in 0 to 1: turned, zoomed, stretched, recoloured, erased."""
    return vary(pictures.permute(0, 3, 1, 2), size, config, generator)


def vary(pictures: Tensor, size: int, config: Augmentation | None, generator: torch.Generator) -> Tensor:
    """`augment` of pictures [N, 3, S, S]; without a config they are only resized."""
    if config is None:
        return resized(pictures, size)
    batch = _geometry(pictures.float().div(255), size, config, generator)
    return _erase(_colour(batch, config, generator), config, generator)
