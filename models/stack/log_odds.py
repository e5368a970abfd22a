"""Log-odds of image files by the graphs of the two released models."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.classifier.serving import artifact as classifier
from models.classifier.serving.preprocess import prepare as prepare_for_classifier
from models.vlm.serving import artifact as vlm
from models.vlm.serving.preprocess import prepare as prepare_for_vlm
from models.vlm.serving.scoring import score

Array = NDArray[np.float64]
BATCH = 32


def of_classifier(released: classifier.ClassifierArtifact, images: Sequence[Path]) -> Array:
    """Calibrated melanoma log-odds [N] of the default file. Raises OSError naming an image that cannot be read."""
    geometry = released.manifest.input
    session = _session(released.folder / released.manifest.default)
    probabilities = [
        session.run(["melanoma"], {"image": batch})[0]
        for batch in _batches(
            images, lambda image: prepare_for_classifier(image, geometry.size, geometry.geometry, geometry.resample)
        )
    ]
    return logit(np.concatenate(probabilities).astype(np.float64))


def of_vlm(released: vlm.VlmArtifact, images: Sequence[Path]) -> Array:
    """Raw log-odds of Yes [N], scored as in serving.

    Raises ArtifactError without a graph, ValueError when an answer is neither Yes nor No.
    """
    released.require_graph()
    view, prompt = released.manifest.input, np.array([released.manifest.prompt_ids], dtype=np.int64)
    session, tokens = _session(released.folder / vlm.MODEL_FILE), vlm.vocabulary(released)
    log_odds: list[float | None] = []
    for batch in _batches(images, lambda image: np.asarray(prepare_for_vlm(image, view))):
        inputs = {"image": batch, "input_ids": np.repeat(prompt, len(batch), 0)}
        logits = session.run(["logits"], inputs)[0].astype(np.float64)
        logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        log_odds += [score(zip(tokens, row.tolist(), strict=False)).logit for row in logprobs]
    unanswered = sum(value is None for value in log_odds)
    if unanswered:
        raise ValueError(f"the vlm answered {unanswered} of {len(log_odds)} images with neither Yes nor No")
    return np.array(log_odds, dtype=np.float64)


def logit(p: Array) -> Array:
    """Log-odds; probabilities are clipped to 1e-6 from 0 and 1, as in fusion."""
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), dtype=np.float64)


def _session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def _batches(
    images: Sequence[Path], prepare: Callable[[Image.Image], NDArray[np.uint8]]
) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(images), BATCH):
        prepared = []
        for path in images[start : start + BATCH]:
            with Image.open(path) as image:
                prepared.append(prepare(ImageOps.exif_transpose(image).convert("RGB")))
        yield np.stack(prepared)
