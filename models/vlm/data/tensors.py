"""Images and token ids as the tensors Llama 3.2 Vision takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

IGNORED = -100
"""The label of tokens without loss."""

ImageBatch = Sequence[Image.Image] | NDArray[np.uint8]


def collate(
    processor: Any, images: ImageBatch, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """One image, one prompt and one answer (it may be empty) a row, padded on the right.

    Returns input_ids, attention_mask and labels [N, L], cross_attention_mask [N, L, 1, tiles], pixel_values
    [N, 1, tiles, 3, H, W], aspect_ratio_ids [N, 1], aspect_ratio_mask [N, 1, tiles]. Labels are -100 everywhere
    but on the answer.
    """
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    length = max(map(len, rows))
    inputs = image_inputs(processor, images)
    tiles = inputs.pop("num_tiles")
    # Every token attends to the image's tiles, those before the image token too. The processor would mask them for
    # those; vLLM does not, and training must match serving.
    mask = torch.zeros(len(rows), length, 1, processor.image_processor.max_image_tiles, dtype=torch.long)
    for row, (count,) in enumerate(tiles):
        mask[row, :, :, :count] = 1
    filler = processor.tokenizer.pad_token_id
    labels = [
        [IGNORED] * len(prompt) + [*answer] + [IGNORED] * (length - len(prompt) - len(answer))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    return {
        "input_ids": torch.tensor([row + [filler] * (length - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows]),
        "cross_attention_mask": mask,
        **inputs,
        "labels": torch.tensor(labels),
    }


def image_inputs(processor: Any, images: ImageBatch) -> dict[str, Any]:
    """The model's own image processor over a batch. A uint8 array [N, H, W, 3] is processed at once."""
    if isinstance(images, np.ndarray):
        batch: list[Any] = [[image] for image in torch.from_numpy(images).permute(0, 3, 1, 2)]
    else:
        batch = [[image] for image in images]
    return dict(processor.image_processor(batch, return_tensors="pt"))
