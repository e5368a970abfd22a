"""What a network answers, and how good that is on rows it has not learned from."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import precision_recall_curve
from torch import nn

from models.classifier.data.image_pool import ImagePool
from models.classifier.data.labels import MALIGNANT, MELANOMA
from models.classifier.data.table import Row
from models.classifier.evaluation import statistics
from models.classifier.network.networks import normalisation_of, normalise
from models.classifier.training import devices
from models.classifier.training.config import Selection

BATCH = 64
Array = NDArray[np.float64]


@torch.inference_mode()
def raw_scores(network: nn.Module, cache: NDArray[np.uint8], batch_size: int = BATCH) -> Array:
    """Uncalibrated scores [N, C] of prepared pictures uint8 [N, S, S, 3]."""
    first = next(network.parameters(), None)
    device = first.device if first is not None else torch.device("cpu")
    scale = normalisation_of(network)
    parts = []
    for start in range(0, len(cache), batch_size):
        batch = torch.from_numpy(cache[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float().div(255)
        parts.append(network(normalise(batch, scale)).double().cpu().numpy())
    return np.concatenate(parts)


def scores_of(network: nn.Module, pictures: ImagePool, place: devices.Place) -> Array:
    """`raw_scores` [N, C] of pictures in memory or on disk, shared out among the processes."""
    mine = range(place.rank, len(pictures), place.world)
    parts = [raw_scores(network, pictures.take(mine[i : i + BATCH]).numpy()) for i in range(0, len(mine), BATCH)]
    of_ranks = devices.gather(np.concatenate(parts) if parts else None, place)
    found = np.empty((len(pictures), next(part for part in of_ranks if part is not None).shape[1]))
    for rank, part in enumerate(of_ranks):
        if part is not None:
            found[rank :: place.world] = part
    return found


def best_f1(truth: Array, p: Array) -> float:
    """F1 at the threshold where it is highest."""
    precision, recall, _ = precision_recall_curve(truth, p)
    return float((2 * precision * recall / np.maximum(precision + recall, 1e-12)).max())


METRICS: dict[str, Callable[[Array, Array], float]] = {
    "auc": statistics.METRICS["auc"],
    "average_precision": statistics.METRICS["average_precision"],
    "specificity_at_95_sensitivity": statistics.METRICS["specificity_at_95_sensitivity"],
    "f1": best_f1,
}


def judge(scores: Array, rows: Sequence[Row], selection: Selection) -> float:
    """The chosen metric of scores [N, C]; rows whose label leaves the endpoint open are left out."""
    log_p = log_softmax(scores, axis=1)
    if selection.metric == "loss":
        return float(
            -np.mean([np.logaddexp.reduce(line[list(r.classes)]) for line, r in zip(log_p, rows, strict=True)])
        )
    positives = [MELANOMA] if selection.endpoint == "melanoma" else list(MALIGNANT)
    told = [getattr(row, selection.endpoint) for row in rows]
    known = np.array([answer is not None for answer in told])
    truth = np.array([bool(answer) for answer in told], dtype=np.float64)[known]
    p: Array = np.exp(np.logaddexp.reduce(log_p[known][:, positives], axis=1))
    return METRICS[selection.metric](truth, p)


def better(value: float, before: float | None, selection: Selection) -> bool:
    """Whether an epoch beats the best so far."""
    return before is None or (value < before if selection.metric == "loss" else value > before)
