"""The network, and the served graph round it."""

from typing import Any

import timm
import torch
from torch import Tensor, nn

from models.classifier.calibration import Calibration
from models.classifier.labels import CLASSES, MALIGNANT, MELANOMA

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(
    backbone: str, dropout: float = 0.0, drop_path: float = 0.0, pad_type: str = "", normalisation: str = "imagenet"
) -> nn.Module:
    """A timm network with seven outputs and random weights. Raises RuntimeError for an unknown name.

    `pad_type`: "same" for TensorFlow's padding; only networks of the EfficientNet family know it.
    `normalisation` is kept as an attribute for whoever feeds the network.
    """
    options: dict[str, Any] = {"pad_type": pad_type} if pad_type else {}
    network: nn.Module = timm.create_model(
        backbone, num_classes=len(CLASSES), drop_rate=dropout, drop_path_rate=drop_path, **options
    )
    network.normalisation = normalisation  # type: ignore[assignment]
    return network


def normalise(pictures: Tensor, normalisation: str = "imagenet") -> Tensor:
    """[N, 3, H, W] in 0 to 1 to the scale the network works in: ImageNet's mean and deviation, or -1 to 1."""
    if normalisation == "half":
        return pictures * 2 - 1
    mean = torch.tensor(_MEAN, device=pictures.device).view(1, 3, 1, 1)
    std = torch.tensor(_STD, device=pictures.device).view(1, 3, 1, 1)
    return (pictures - mean) / std


class Served(nn.Module):
    """The graph of the artifact contract: uint8 pictures in, calibrated findings out."""

    OUTPUTS = ("melanoma", "malignant", "classes", "logit", "ood", "heatmap", "embedding")

    def __init__(self, network: Any, calibration: Calibration) -> None:
        """`network`: what `build` makes; timm's forward_features and forward_head have no types."""
        super().__init__()
        self.network = network
        self.inverse_temperature = 1 / calibration.temperature
        self.register_buffer("bias", torch.tensor(calibration.bias, dtype=torch.float32))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: uint8 [N, H, W, 3] RGB. Returns the tensors named in OUTPUTS, in that order."""
        pictures = normalise(image.permute(0, 3, 1, 2).to(torch.float32) / 255)
        features = self.network.forward_features(pictures)
        embedding = self.network.forward_head(features, pre_logits=True)
        head = self.network.get_classifier()
        raw = head(embedding)
        scores = raw * self.inverse_temperature + self.bias
        classes = torch.softmax(scores, 1)
        others = [index for index in range(len(CLASSES)) if index != MELANOMA]
        logit = scores[:, MELANOMA] - torch.logsumexp(scores[:, others], 1)
        malignant = classes[:, list(MALIGNANT)].sum(1)
        # Free energy of the uncalibrated logits (Liu et al. 2020): higher is stranger.
        ood = -torch.logsumexp(raw, 1)
        return classes[:, MELANOMA], malignant, classes, logit, ood, self._heatmap(features, head), embedding

    @staticmethod
    def _heatmap(features: Tensor, head: Any) -> Tensor:
        """Class-activation map for melanoma against the mean class (Zhou et al. 2016), each picture 0 to 1."""
        weight = head.weight
        direction = weight[MELANOMA] - weight.mean(0)
        cam = torch.relu((features * direction.view(1, -1, 1, 1)).sum(1))
        peak = cam.amax((1, 2), keepdim=True)
        return cam / torch.clamp(peak, min=1e-6)
