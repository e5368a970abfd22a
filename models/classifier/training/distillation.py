"""A teacher for distillation: it answers for the very pictures, augmented and mixed, that its student sees."""

from pathlib import Path
from typing import Protocol, cast

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.classifier.data.labels import CLASSES
from models.classifier.network import initial_weights, networks
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.classifier.training.config import expand
from models.common.artifact import ArtifactError


class Teacher(Protocol):
    """What the loss asks for."""

    def __call__(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, S, S] in 0 to 1 to scores [N, C], up to a constant in each row."""


def load(path: str, device: torch.device) -> Teacher:
    """From the folder of a released classifier, or a network.safetensors. Raises FileNotFoundError, ValueError."""
    found = expand(path)
    if found.is_dir():
        return ReleasedTeacher(found)
    if not found.is_file():
        raise FileNotFoundError(f"distillation.teacher: there is no {found}")
    return NetworkTeacher(found, device)


class ReleasedTeacher:
    """The graph that is served, with its calibration."""

    def __init__(self, folder: Path) -> None:
        try:
            manifest = ClassifierArtifact.load(folder).manifest
        except ArtifactError as error:
            raise ValueError(f"distillation.teacher: {error}") from None
        if tuple(manifest.classes) != CLASSES:
            raise ValueError(f"distillation.teacher: {folder} knows other classes: {', '.join(manifest.classes)}")
        self.size = manifest.input.size
        self._session = onnxruntime.InferenceSession(folder / MODEL_FILE, providers=["CPUExecutionProvider"])

    def __call__(self, pictures: Tensor) -> Tensor:
        """See Teacher."""
        image = _sized(pictures, self.size).clamp(0, 1).mul(255).round().to(torch.uint8)
        (classes,) = self._session.run(["classes"], {"image": image.permute(0, 2, 3, 1).cpu().numpy()})
        return torch.from_numpy(np.log(np.clip(classes, 1e-7, None))).to(pictures.device)


class NetworkTeacher:
    """A network of another run, at the size it was trained for last."""

    def __init__(self, path: Path, device: torch.device) -> None:
        state, about = initial_weights.read(path)
        if "backbone" not in about:
            raise ValueError(f"distillation.teacher: {path} does not say of which network it is; name one that "
                             "`melalog train classifier` wrote (OUT/network.safetensors)")  # fmt: skip
        made = networks.build(
            about["backbone"],
            pad_type=about["pad_type"],
            normalisation=cast("networks.Normalisation", about["normalisation"]),
        )
        initial_weights.fill(made, state, str(path), about["backbone"])
        self.size, self.normalisation = int(about["size"]), networks.normalisation_of(made)
        self._network: nn.Module = made.to(device).eval()

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """See Teacher."""
        scores: Tensor = self._network(networks.normalise(_sized(pictures, self.size), self.normalisation))
        return scores.float()


def _sized(pictures: Tensor, size: int) -> Tensor:
    if pictures.shape[-1] == size:
        return pictures
    return functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True, align_corners=False)
