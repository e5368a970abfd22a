"""First step of the small model: its vision tower learns the features of the classifier.

The classifier is the teacher: for the same augmented image the tower learns its feature map and its class
probabilities ("a patient and consistent teacher", Beyer et al. 2022). A transformer of this size, from random
weights, learns far less from ten thousand labels alone.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MllamaVisionModel

from models.classifier.data.labels import CLASSES
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.vlm.network import small

MEANS, RESHAPING = ("ReduceMean", "GlobalAveragePool"), ("Reshape", "Gather", "Squeeze", "Flatten", "Identity")
HARD_WEIGHT, FEATURES_WEIGHT, SMOOTHING = 0.3, 2.0, 0.05


class ClassifierTeacher:
    """A released classifier that sees each image once, with the last feature maps of its networks as outputs."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError for a classifier that averages views, or has no pooled features."""
        artifact = ClassifierArtifact.load(folder)
        if artifact.manifest.views != 1:
            raise ValueError(f"{folder} averages {artifact.manifest.views} views: a teacher must use one view")
        self.size = artifact.manifest.input.size
        graph = onnx.load(folder / MODEL_FILE)
        self._features = _pooled(graph, "embedding")
        for name in self._features:
            graph.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        (embedding,) = (output for output in graph.graph.output if output.name == "embedding")
        self.width = int(embedding.type.tensor_type.shape.dim[-1].dim_value)
        self._session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [N, 3, S, S] in 0 to 1 to (class probabilities [N, C], features [N, D, h, w])."""
        image = images.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        classes, *features = self._session.run(["classes", *self._features], {"image": image})
        return torch.from_numpy(classes), torch.from_numpy(np.concatenate(features, axis=1))


def _pooled(graph: Any, name: str) -> list[str]:
    """The tensors that are averaged over their pixels on the way to the output `name`, one per network."""
    producers = {output: node for node in graph.graph.node for output in node.output}
    averaged = ""
    while (node := producers.get(name)) is not None and node.op_type in {*MEANS, *RESHAPING}:
        # The mean over views comes after the mean over pixels, so the last one found backwards is over pixels.
        averaged = str(node.input[0]) if node.op_type in MEANS else averaged
        name = node.input[0]
    if node is not None and node.op_type == "Concat" and not averaged:
        return [name for part in node.input for name in _pooled(graph, part)]
    if not averaged:
        raise ValueError("this classifier has no pooled feature map to learn from")
    return [averaged]


class Student(nn.Module):
    """The tower with two heads that are discarded after training."""

    def __init__(self, teacher_width: int) -> None:
        super().__init__()
        config = small.vision_config()
        config._attn_implementation = "eager"  # noqa: SLF001  (a third faster than sdpa for 72 tokens on a CPU)
        self.tower = MllamaVisionModel(config)
        self.classes = nn.Linear(config.vision_output_dim, len(CLASSES))
        self.features = nn.Linear(config.vision_output_dim, teacher_width)

    def forward(self, images: Tensor, grid: int) -> tuple[Tensor, Tensor]:
        """Normalised images [N, 3, 112, 112] to (class logits [N, C], features [N, D, grid, grid])."""
        n = len(images)
        ones = torch.ones(n, 1, dtype=torch.long)
        hidden = self.tower(images[:, None, None], aspect_ratio_ids=ones, aspect_ratio_mask=ones[:, :, None])
        patches = hidden.last_hidden_state[:, 0, 0, 1:]
        side = small.SIDE // small.PATCH
        spread = self.features(
            functional.adaptive_avg_pool2d(patches.mT.reshape(n, -1, side, side), grid).flatten(2).mT
        )
        return self.classes(patches.mean(1)), spread.mT.reshape(n, -1, grid, grid)


def to_student(images: Tensor) -> Tensor:
    """Images in 0 to 1 of any size to the tower's normalised input."""
    shrunk = functional.interpolate(images, (small.SIDE, small.SIDE), mode="bilinear", antialias=True)
    return (shrunk - torch.tensor(small.MEAN).view(1, 3, 1, 1)) / torch.tensor(small.STD).view(1, 3, 1, 1)


def loss(student: nn.Module, images: Tensor, labels: Tensor, teacher: ClassifierTeacher) -> Tensor:
    """Images [N, 3, S, S] in 0 to 1 at the teacher's size: its classes, the labels, and its normalised features."""
    classes, features = teacher(images)
    with torch.autocast("cpu", torch.bfloat16):
        logits, predicted = student(to_student(images), features.shape[-1])
    soft = functional.cross_entropy(logits.float(), classes)
    hard = functional.cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING)
    target = functional.layer_norm(features.flatten(2).mT, features.shape[1:2])
    near = functional.mse_loss(predicted.float().flatten(2).mT, target)
    return soft + HARD_WEIGHT * hard + FEATURES_WEIGHT * near
