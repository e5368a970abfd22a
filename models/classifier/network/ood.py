"""Is this a picture of a lesion, and how was it taken? Answered from the network's signature, inside the graph.

Standardised and projected on few directions, it gives `ood`, the Mahalanobis distance to the nearest diagnosis of the
nearest modality (Lee et al. 2018) together with what the projection leaves over, and `photograph`, by logistic
regression. Each modality has its own means and its own (shrunk) covariance, so that photographs pass
as well as dermoscopy does.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import OAS
from sklearn.linear_model import LogisticRegression
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

Array = NDArray[np.float64]
METHOD = "Mahalanobis distance to the nearest diagnosis of the nearest modality in {} of {} dimensions, plus residual"
RANK = 64
FEWEST = 5
"""A diagnosis with fewer pictures than this in a modality gives no mean of its own."""


class OodError(ValueError):
    """The pictures at hand do not make a gate; the message says what is missing."""


@dataclass(frozen=True)
class Modality:
    """What is usual in one modality. means: [M, K]; whitening: [K, K], its squared length is the distance."""

    means: Array
    whitening: Array
    residual: float
    scale: float = 1.0


@dataclass(frozen=True)
class Parameters:
    """centre, spread: [D]; directions: [D, K]; photograph: weights [K] and an offset."""

    centre: Array
    spread: Array
    directions: Array
    modalities: tuple[Modality, Modality]
    weights: Array
    offset: float

    @property
    def method(self) -> str:
        """In words, for the manifest."""
        return METHOD.format(self.directions.shape[1], self.directions.shape[0])


def fit(
    features: NDArray[np.float32], labels: NDArray[np.int64], photograph: NDArray[np.bool_], rank: int = RANK
) -> Parameters:
    """Fit on features [N, D] of training pictures. Raises OodError unless both modalities have pictures enough."""
    x = features.astype(np.float64)
    sides = (~photograph, photograph)
    least = min(int(side.sum()) for side in sides)
    if least < 2 * FEWEST:
        raise OodError(f"a gate needs pictures of both modalities, at least {2 * FEWEST} of each; one has {least}")
    # Both modalities count the same, however many pictures each has.
    share = np.where(photograph, 0.5 / photograph.sum(), 0.5 / (~photograph).sum())
    centre = share @ x
    spread = np.sqrt(share @ np.square(x - centre)) + 1e-6
    z = (x - centre) / spread
    rank = min(rank, x.shape[1] - 1, least - 1)
    _, _, rows = randomized_svd(z * np.sqrt(share)[:, None], rank, random_state=0)
    projected = z @ rows.T
    left = np.square(z).sum(1) - np.square(projected).sum(1)
    modalities = tuple(_usual(projected[side], labels[side], left[side]) for side in sides)
    told = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000).fit(projected, photograph)
    return Parameters(centre, spread, rows.T, (modalities[0], modalities[1]), told.coef_[0], float(told.intercept_[0]))


def scale(
    fitted: Parameters, unseen: NDArray[np.float32], photograph: NDArray[np.bool_], wanted: tuple[float, float]
) -> Parameters:
    """Measure each modality in its own quantile on unseen pictures: the wanted shares pass at about 1."""
    with torch.inference_mode():
        distances = OodDetector(fitted).distances(torch.from_numpy(unseen)).numpy()
    edges = [float(np.quantile(distances[i][side], wanted[i])) for i, side in enumerate((~photograph, photograph))]
    dermoscopy, photo = (replace(m, scale=edge) for m, edge in zip(fitted.modalities, edges, strict=True))
    return replace(fitted, modalities=(dermoscopy, photo))


def _usual(projected: Array, labels: NDArray[np.int64], left: Array) -> Modality:
    known, counts = np.unique(labels, return_counts=True)
    kept = known[counts >= FEWEST]
    means = np.stack([projected[labels == c].mean(0) for c in kept]) if len(kept) else projected.mean(0, keepdims=True)
    nearest = np.array([means[np.flatnonzero(kept == c)[0]] if c in kept else means.mean(0) for c in labels])
    covariance = OAS(assume_centered=True).fit(projected - nearest).covariance_
    # The inverse's factor: |x L|² is the Mahalanobis distance.
    return Modality(means, np.linalg.cholesky(np.linalg.inv(covariance)), float(left.mean()))


class OodDetector(nn.Module):
    """The fitted gate as part of a graph: features [N, D] to (ood [N], photograph [N])."""

    centre: Tensor
    spread: Tensor
    directions: Tensor
    weights: Tensor

    def __init__(self, fitted: Parameters) -> None:
        super().__init__()
        names = {"centre": fitted.centre, "spread": fitted.spread, "directions": fitted.directions}
        for i, modality in enumerate(fitted.modalities):
            names |= {f"means{i}": modality.means @ modality.whitening, f"whitening{i}": modality.whitening}
        for name, value in (names | {"weights": fitted.weights}).items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        self.residuals = [modality.residual for modality in fitted.modalities]
        self.scales = [modality.scale for modality in fitted.modalities]
        self.offset, self.method = fitted.offset, fitted.method

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """`ood`: 1 is the edge of what is usual, more is stranger. `photograph`: a probability."""
        projected, _ = self._project(features)
        return self.distances(features).amin(0), torch.sigmoid(projected @ self.weights + self.offset)

    def distances(self, features: Tensor) -> Tensor:
        """[2, N]: to dermoscopy and to photographs."""
        projected, left = self._project(features)
        return torch.stack([self._distance(projected, left, i) for i in range(len(self.residuals))])

    def _project(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Projection [N, K], and the squared length [N] of what it leaves over."""
        z = (features - self.centre) / self.spread
        projected = z @ self.directions
        # As one length: the difference of two long ones would lose digits.
        return projected, (z - projected @ self.directions.T).square().sum(1)

    def _distance(self, projected: Tensor, left: Tensor, i: int) -> Tensor:
        whitened = projected @ self.get_buffer(f"whitening{i}")
        means = self.get_buffer(f"means{i}")
        # |a - b|² pair by pair, by broadcasting: the short form loses digits to cancellation.
        nearest = (whitened.unsqueeze(1) - means.unsqueeze(0)).square().sum(2).amin(1)
        return (nearest / whitened.shape[1] + left / self.residuals[i]) / self.scales[i]
