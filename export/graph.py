"""Export a network as an ONNX graph, and check it: outputs against torch, the heat map against Grad-CAM."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from torch import Tensor, nn

from models.classifier.data.labels import MELANOMA
from models.classifier.evaluation import measurement
from models.classifier.network.networks import Ensemble, Perception, Served, normalisation_of, normalise

OPSET = 20
PARITY, HEATMAP_PARITY = 1e-4, 1e-3


class ParityError(RuntimeError):
    """The exported graph does not compute what the network computes."""


class HeatmapError(RuntimeError):
    """The graph's heat map is not this network's Grad-CAM."""


def write(served: Served, size: int, path: Path, pixels: NDArray[np.uint8] | None = None) -> None:
    """Export to ONNX with a free batch size, and check it against torch on `pixels` (generated ones by default).

    pixels: uint8 [N, size, size, 3]. Raises ParityError.
    """
    generator = np.random.default_rng(0)
    example = torch.from_numpy(generator.integers(0, 256, (2, size, size, 3), np.uint8))
    if pixels is None:
        pixels = generator.integers(0, 256, (3, size, size, 3), np.uint8)
    served = served.eval()
    program = torch.onnx.export(
        served,
        (example,),
        input_names=["image"],
        output_names=list(served.outputs),
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
        verbose=False,
    )
    assert program is not None  # noqa: S101  (None only without dynamo)
    program.save(path, external_data=False)
    onnx.checker.check_model(path)
    _check(served, path, pixels)


def _check(served: Served, path: Path, pixels: NDArray[np.uint8]) -> None:
    with torch.inference_mode():
        expected = served(torch.from_numpy(pixels))
    outputs = measurement.run(path, pixels)
    for name, tensor in zip(served.outputs, expected, strict=True):
        difference = float(np.abs(outputs[name] - tensor.numpy()).max() / max(1.0, float(tensor.abs().max())))
        if not difference <= PARITY:
            raise ParityError(f"output {name} differs from torch by {difference:.1e}; at most {PARITY:.0e} is allowed")


def check_heatmap(network: nn.Module, pixels: NDArray[np.uint8]) -> None:
    """Compare the heat map of each member with pytorch-grad-cam's: uint8 [N, S, S, 3]. Raises HeatmapError."""
    image = torch.from_numpy(pixels)
    for member in network.members if isinstance(network, Ensemble) else [network]:
        try:
            with torch.inference_mode():
                own = Perception(member).eval()(image)[2].numpy()
        except RuntimeError as error:
            raise HeatmapError(f"{type(member).__name__} has no heat map: {error}") from error
        expected = _grad_cam(member, image)
        side = pixels.shape[1]
        # pytorch-grad-cam resizes to the image, and scales before and after.
        difference = float(np.abs(scale_cam_image(scale_cam_image(own, (side, side))) - expected).max())
        if not difference <= HEATMAP_PARITY:
            raise HeatmapError(
                f"the heat map of {type(member).__name__} differs from Grad-CAM by {difference:.2f}: between its last "
                "features and its classifier stands more than pooling and a layer norm. Choose another backbone"
            )


class _WithFeatureHook(nn.Module):
    """The network with its last features as a module that Grad-CAM can hook."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.features = network, nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.network.forward_head(self.features(self.network.forward_features(pixels)))
        return scores


def _grad_cam(network: nn.Module, image: Tensor) -> NDArray[np.float32]:
    def against_the_mean(scores: Tensor) -> Tensor:
        return scores[MELANOMA] - scores.mean()

    hooked = _WithFeatureHook(network).eval()
    pixels = normalise(image.permute(0, 3, 1, 2).to(torch.float32) / 255, normalisation_of(network))
    with GradCAM(hooked, [hooked.features]) as cam:
        targets: Sequence[Any] = [against_the_mean] * len(pixels)
        maps: NDArray[np.float32] = cam(pixels, targets)
    return maps
