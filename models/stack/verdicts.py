"""What the two released models say of picture files, by the graphs that are served."""

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


def of_classifier(released: classifier.Artifact, pictures: Sequence[Path]) -> Array:
    """Calibrated melanoma log-odds [N] of the default file. Raises OSError naming a picture that cannot be read."""
    wanted = released.manifest.input
    session = _session(released.folder / released.manifest.default)
    found = [
        session.run(["melanoma"], {"image": batch})[0]
        for batch in _batches(
            pictures, lambda image: prepare_for_classifier(image, wanted.size, wanted.geometry, wanted.resample)
        )
    ]
    return logit(np.concatenate(found).astype(np.float64))


def of_vlm(released: vlm.Artifact, pictures: Sequence[Path]) -> Array:
    """Raw log-odds of Yes [N], scored as in serving.

    Raises ArtifactError without a graph, ValueError when it answers something else.
    """
    released.require_graph()
    view, prompt = released.manifest.input, np.array([released.manifest.prompt_ids], dtype=np.int64)
    session, tokens = _session(released.folder / vlm.MODEL_FILE), vlm.vocabulary(released)
    found: list[float | None] = []
    for batch in _batches(pictures, lambda image: np.asarray(prepare_for_vlm(image, view))):
        inputs = {"image": batch, "input_ids": np.repeat(prompt, len(batch), 0)}
        logits = session.run(["logits"], inputs)[0].astype(np.float64)
        logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        found += [score(zip(tokens, row.tolist(), strict=False)).logit for row in logprobs]
    unanswered = sum(value is None for value in found)
    if unanswered:
        raise ValueError(f"the vlm answered {unanswered} of {len(found)} pictures with neither Yes nor No")
    return np.array(found, dtype=np.float64)


def logit(p: Array) -> Array:
    """Log-odds; probabilities are kept off 0 and 1 by a millionth, as fusion does."""
    kept = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(kept) - np.log1p(-kept), dtype=np.float64)


def _session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def _batches(
    pictures: Sequence[Path], prepare: Callable[[Image.Image], NDArray[np.uint8]]
) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pictures), BATCH):
        prepared = []
        for path in pictures[start : start + BATCH]:
            with Image.open(path) as image:
                prepared.append(prepare(ImageOps.exif_transpose(image).convert("RGB")))
        yield np.stack(prepared)
