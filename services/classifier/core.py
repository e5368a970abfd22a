"""The classifier's core: decode, judge the picture, prepare, score. No HTTP, no BentoML."""

import numpy as np
import structlog
from numpy.typing import NDArray

from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.classifier.serving.preprocess import prepare
from services.classifier import heatmap, metrics, quality
from services.classifier.batcher import Batcher
from services.classifier.engine.port import Engine, Scores
from services.common import images
from services.common.deadline import Deadline
from services.common.decoders import MAX_WAITING, Decoders
from services.common.errors import EngineDown
from services.contracts import ClassifyResponse, Modality, ModelInfo, PictureFinding

MAX_BATCH = 8
OVERSAMPLING = 2
"""Decode to at least this many times the network's input: enough for a clean resize, no more."""


class Classifier:
    """One released artifact, answering with one of its files: thresholds and figures are that file's."""

    def __init__(self, artifact: ClassifierArtifact, engine: Engine, decoders: int, file: str = MODEL_FILE) -> None:
        self.manifest, self.engine = artifact.manifest, engine
        self.variant = self.manifest.files[file]
        self.model = ModelInfo(name=self.manifest.name, version=self.manifest.version, sha256=self.variant.sha256)
        self._batcher = Batcher(engine, MAX_BATCH, MAX_WAITING)
        self._decoders = Decoders(decoders)
        self._warm = False

    def warm_up(self) -> None:
        """One batch of each size that will be met, so that the first caller does not wait for it."""
        size = self.manifest.input.size
        try:
            for n in range(1, MAX_BATCH + 1):
                self.engine.run(np.zeros((n, size, size, 3), np.uint8))
            metrics.engine(up=True)
        except EngineDown as error:  # a server of its own: it may come later, and requests say so until then
            structlog.get_logger().warning("engine down", engine=self.engine.name, reason=error.reason)
            metrics.engine(up=False)
        self._warm = True

    @property
    def ready(self) -> bool:
        """Model loaded and warmed."""
        return self._warm

    async def classify(self, data: bytes, deadline: Deadline, *, with_heatmap: bool) -> ClassifyResponse:
        """Raises UnsupportedPicture, UnreadablePicture, Overloaded, and TimeoutError past the deadline."""
        prepared, picture = await self._decoders.run(self._prepare, data, deadline)
        scores = await self._batcher.score(prepared, deadline)
        found = self._answer(scores, picture, with_heatmap=with_heatmap)
        metrics.classified(found)
        return found

    def _prepare(self, data: bytes) -> tuple[NDArray[np.uint8], PictureFinding]:
        wanted = self.manifest.input
        decoded = images.decode(data, wanted.size * OVERSAMPLING)
        return prepare(decoded, wanted.size, wanted.geometry, wanted.resample), quality.judge(decoded)

    def _answer(self, scores: Scores, picture: PictureFinding, *, with_heatmap: bool) -> ClassifyResponse:
        manifest, threshold = self.manifest, self.variant.thresholds.get("sensitivity_95")
        malignant = self.variant.thresholds.get("malignant_sensitivity_95")
        limit = manifest.ood_threshold
        return ClassifyResponse(
            melanoma=scores.melanoma,
            malignant=min(max(scores.malignant, scores.melanoma), 1.0),  # a float32 sum may come out above 1
            classes=dict(zip(manifest.classes, map(float, scores.classes), strict=True)),
            in_distribution=None if limit is None else scores.ood <= limit,
            modality=self._modality(scores),
            heatmap=heatmap.png(scores.heatmap) if with_heatmap else None,
            model=self.model,
            picture=picture,
            logit=scores.logit,
            logit_sd=manifest.calibration.logit_sd,
            prevalence=manifest.calibration.prevalence,
            malignant_prevalence=manifest.calibration.malignant_prevalence,
            threshold_95=threshold.value if threshold else None,
            specificity_95=threshold.specificity if threshold else None,
            malignant_threshold_95=malignant.value if malignant else None,
            malignant_specificity_95=malignant.specificity if malignant else None,
            ood_score=scores.ood,
        )

    def _modality(self, scores: Scores) -> Modality | None:
        """How the picture was taken; None where the graph or its manifest does not tell, or not clearly."""
        rule = self.manifest.modality
        return None if rule is None or scores.photograph is None else rule.judge(scores.photograph)

    def close(self) -> None:
        """Stop the threads."""
        self._decoders.close()
        self._batcher.close()
        self.engine.close()
