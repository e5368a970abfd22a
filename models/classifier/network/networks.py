"""The network, several networks as one, and the served graph round them."""

from collections.abc import Sequence
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from models.classifier.calibration.class_scores import ScoreCalibration
from models.classifier.data.labels import CLASSES, MALIGNANT, MELANOMA
from models.classifier.network.ood import OodDetector
from models.classifier.network.saliency import activation_map, scaled
from models.common import views

Normalisation = Literal["imagenet", "half", "none"]
_SCALES = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
VIEWS = {
    1: ((0, False),),
    2: ((0, False), (0, True)),
    4: tuple((turns, False) for turns in range(4)),
    8: views.VIEWS,
}
"""Number of views to what they are: quarter turns, after a mirror or not."""


def build(
    backbone: str,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    pad_type: str = "",
    normalisation: Normalisation = "imagenet",
) -> nn.Module:
    """A timm network with seven outputs and random weights, carrying its `normalisation`.

    `pad_type`: `same` for weights that come from TensorFlow. Raises RuntimeError for an unknown name.
    """
    options: dict[str, Any] = {"pad_type": pad_type} if pad_type else {}
    network: Any = timm.create_model(
        backbone, num_classes=len(CLASSES), drop_rate=dropout, drop_path_rate=drop_path, **options
    )
    network.normalisation = normalisation
    built: nn.Module = network
    return built


def normalise(pictures: Tensor, normalisation: Normalisation = "imagenet") -> Tensor:
    """[N, 3, H, W] in 0 to 1 to the scale a network works in.

    `imagenet`: mean and deviation; `half`: -1 to 1; `none`: as it is.
    """
    mean, std = (torch.tensor(x, device=pictures.device).view(1, 3, 1, 1) for x in _SCALES[normalisation])
    return (pictures - mean) / std


def normalisation_of(network: nn.Module) -> Normalisation:
    """What the network carries; ImageNet's where it carries nothing."""
    carried: Normalisation = getattr(network, "normalisation", "imagenet")
    return carried


class Ensemble(nn.Module):
    """Several networks as one: scores averaged. Takes pictures in 0 to 1, each member normalises them its own way."""

    normalisation: Normalisation = "none"

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        """All members take the same picture size and give maps of the same size."""
        super().__init__()
        if not networks:
            raise ValueError("an ensemble needs at least one network")
        self.members = nn.ModuleList(networks)

    def forward(self, pictures: Tensor) -> Tensor:
        """[N, 3, H, W] to uncalibrated scores [N, C]."""
        scores = [member(normalise(pictures, normalisation_of(member))) for member in self.members]
        return torch.stack(scores).mean(0)


class Perception(nn.Module):
    """Uint8 pictures [N, H, W, 3] to scores [N, C], embedding [N, D], heat map [N, h, w] and signature [N, S].

    All are averaged over the views; scores and maps over the members of an ensemble, whose embeddings and signatures
    stand side by side. The signature is for the gate: mean and deviation of every channel of every stage but the last.
    What a picture is of shows there; the last stage knows lesions only, and hardly tells a cat from a mole.
    """

    def __init__(self, network: nn.Module, views: int = 1) -> None:
        super().__init__()
        if views not in VIEWS:
            raise ValueError(f"views must be one of {', '.join(map(str, VIEWS))}, not {views}")
        self.members = nn.ModuleList(network.members if isinstance(network, Ensemble) else [network])
        self.views = VIEWS[views]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scores, embedding, heat map, signature."""
        pictures = image.permute(0, 3, 1, 2).to(torch.float32) / 255
        seen = torch.cat([_turned(pictures, *view) for view in self.views])
        parts = [self._member(member, seen) for member in self.members]
        scores, embeddings, maps, signatures = zip(*parts, strict=True)
        heatmap = scaled(torch.stack(maps).mean(0)) if len(maps) > 1 else maps[0]
        return torch.stack(scores).mean(0), torch.cat(embeddings, 1), heatmap, torch.cat(signatures, 1)

    def _member(self, network: Any, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`network`: timm's methods have no types."""
        features, stages = network.forward_intermediates(normalise(pictures, normalisation_of(network)))
        embedding = self._mean(network.forward_head(features, pre_logits=True))
        signature = self._mean(torch.cat([_moments(stage) for stage in stages[:-1]], 1))
        cam = activation_map(network, features)
        cam = cam.reshape(len(self.views), -1, *cam.shape[1:])
        cam = torch.stack([_back(cam[i], *view) for i, view in enumerate(self.views)]).mean(0)
        # The classifier is linear, so the score of the mean embedding is the mean of the views' scores.
        return network.get_classifier()(embedding), embedding, scaled(cam), signature

    def _mean(self, seen: Tensor) -> Tensor:
        """Over the views: [V * N, D] to [N, D]."""
        return seen.reshape(len(self.views), -1, seen.shape[1]).mean(0)


def _moments(stage: Tensor) -> Tensor:
    """[N, C, h, w] to mean and deviation of each channel [N, 2 C]."""
    mean = stage.mean((2, 3))
    variance = (stage - mean[:, :, None, None]).square().mean((2, 3))
    return torch.cat([mean, torch.sqrt(variance + 1e-8)], 1)


def _turned(pictures: Tensor, turns: int, mirrored: bool) -> Tensor:
    pictures = pictures.flip(-1) if mirrored else pictures
    return torch.rot90(pictures, turns, (-2, -1)) if turns else pictures


def _back(maps: Tensor, turns: int, mirrored: bool) -> Tensor:
    maps = torch.rot90(maps, -turns, (-2, -1)) if turns else maps
    return maps.flip(-1) if mirrored else maps


class Served(nn.Module):
    """The graph of the artifact contract: uint8 pictures in, calibrated findings out."""

    OUTPUTS = ("melanoma", "malignant", "classes", "logit", "ood", "heatmap", "embedding", "photograph")

    def __init__(
        self, network: nn.Module, calibration: ScoreCalibration, gate: OodDetector | None = None, views: int = 1
    ) -> None:
        """`gate`: where there is none, `ood` is the free energy and there is no `photograph`."""
        super().__init__()
        self.perception = Perception(network, views)
        self.inverse_temperature = 1 / calibration.temperature
        self.slope, self.offset = calibration.slope, calibration.offset
        self.register_buffer("bias", torch.tensor(calibration.bias, dtype=torch.float32))
        self.gate = gate

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        return self.OUTPUTS if self.gate else self.OUTPUTS[:-1]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: uint8 [N, H, W, 3] RGB. Returns the tensors named in `outputs`, in that order."""
        raw, embedding, heatmap, signature = self.perception(image)
        scores = raw * self.inverse_temperature + self.bias
        others = torch.logsumexp(torch.cat([scores[:, :MELANOMA], scores[:, MELANOMA + 1 :]], 1), 1)
        logit = self.slope * (scores[:, MELANOMA] - others) + self.offset
        own = (logit + others).unsqueeze(1)
        classes = torch.softmax(torch.cat([scores[:, :MELANOMA], own, scores[:, MELANOMA + 1 :]], 1), 1)
        malignant = classes[:, list(MALIGNANT)].sum(1)
        findings = (classes[:, MELANOMA], malignant, classes, logit)
        if self.gate is None:
            # Free energy of the uncalibrated scores (Liu et al. 2020): higher is stranger.
            return *findings, -torch.logsumexp(raw, 1), heatmap, embedding
        ood, photograph = self.gate(signature)
        return *findings, ood, heatmap, embedding, photograph
