"""The small vision-language model as one prefill graph: image and prompt in, next-token logits out."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from scipy.special import log_softmax
from torch import Tensor, nn

OPSET = 18
PARITY = 1e-3
"""Largest difference of a logprob from torch."""


class GraphError(RuntimeError):
    """The exported graph does not compute what the model computes."""


class Prefill(nn.Module):
    """One pass over image and prompt, with the image's normalisation inside.

    Every token attends to the image's one tile, as in vLLM. The mask is explicit because without one sdpa makes
    cross-attention causal, as if patches were later tokens.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, processor: Any) -> None:
        """`model`: MllamaForConditionalGeneration of one tile; `processor`: its own."""
        super().__init__()
        self.model = model
        image_processor = processor.image_processor
        self.register_buffer("mean", torch.tensor(image_processor.image_mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(image_processor.image_std).view(1, 3, 1, 1))

    def forward(self, image: Tensor, input_ids: Tensor) -> Tensor:
        """image: uint8 [N, S, S, 3]; input_ids: int64 [N, T], no padding. Returns logits [N, V]."""
        pixels = (image.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        one = torch.ones_like(input_ids[:, :1])
        logits: Tensor = self.model(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            cross_attention_mask=torch.ones_like(input_ids)[:, :, None, None],
            pixel_values=pixels[:, None, None],
            aspect_ratio_ids=one,
            aspect_ratio_mask=one[:, :, None],
            use_cache=False,
            logits_to_keep=1,
        ).logits
        return logits[:, -1]


def write(model: Any, processor: Any, prompt_ids: list[int], path: Path) -> None:
    """Export, store the weights as half floats, and check the file against torch. Raises GraphError.

    Uses the TorchScript exporter: the dynamo one cannot trace this model's masks.
    """
    graph = Prefill(model, processor).eval()
    side = model.config.vision_config.image_size
    images = torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    prompts = torch.tensor([prompt_ids]).expand(3, -1)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing: every Python branch on a shape that is fixed here
        torch.onnx.export(
            graph,
            (images[:2], prompts[:2]),
            path,
            input_names=["image", "input_ids"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "input_ids": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
        expected = graph(images, prompts).log_softmax(1).numpy()
    halve(path)
    difference = float(np.abs(GraphPredictor(path, processor, prompt_ids).logprobs(images.numpy()) - expected).max())
    if not difference <= PARITY:
        raise GraphError(f"logprobs differ from torch by {difference:.1e}; at most {PARITY:.0e} is allowed")


def halve(path: Path) -> None:
    """Weights as half floats with a cast behind each, which ONNX Runtime folds when it loads: half the file."""
    model = onnx.load(path)
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < 1024:  # noqa: PLR2004
            continue
        name, values = weight.name, numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(values, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


class GraphPredictor:
    """The file as a predictor: prepared images to (token, raw logprob) lists over the whole vocabulary."""

    BATCH = 32

    def __init__(self, path: Path, processor: Any, prompt_ids: Sequence[int]) -> None:
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._prompt = np.array([prompt_ids], dtype=np.int64)
        self._tokens = processor.tokenizer.convert_ids_to_tokens(range(len(processor.tokenizer)))

    def logprobs(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Logprobs [N, V] for uint8 [N, S, S, 3]."""
        inputs = {"image": images, "input_ids": np.repeat(self._prompt, len(images), 0)}
        (logits,) = self._session.run(["logits"], inputs)
        logprobs: NDArray[np.float64] = log_softmax(logits.astype(np.float64), axis=1)
        return logprobs

    def __call__(self, images: Sequence[Image.Image]) -> list[list[tuple[str, float]]]:
        """Predict every image, in batches."""
        predictions: list[list[tuple[str, float]]] = []
        for start in range(0, len(images), self.BATCH):
            batch = np.stack([np.asarray(image) for image in images[start : start + self.BATCH]])
            predictions += [list(zip(self._tokens, row.tolist(), strict=False)) for row in self.logprobs(batch)]
        return predictions
