"""The released classifier as a folder: manifest.json is the only truth about the files beside it. Torch-free."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from models.common.artifact import (
    MANIFEST,
    ArtifactError,
    ManifestPart,
    Measured,
    Threshold,
    check_files,
    read_manifest,
    sha256,
)
from models.common.geometry import Filter, Geometry

MODEL_FILE = "model.onnx"
STORE_NAME = "melalog-classifier"
"""In BentoML's model store, which is filled from the released folder when a bento is built."""
RELEASED = Path(__file__).parents[2] / "released" / "classifier"


class ManifestCalibration(ManifestPart):
    """What the in-graph calibration was fitted on."""

    data: str
    n: int
    prevalence: float = Field(gt=0, lt=1)
    malignant_prevalence: float = Field(gt=0, lt=1)
    logit_sd: float = Field(ge=0)


class Variant(ManifestPart):
    """One file of the network, with its own hash and figures. Thresholds: `sensitivity_95` is melanoma's."""

    sha256: str
    thresholds: dict[str, Threshold]
    metrics: dict[str, Measured]
    precision: Literal["fp32", "bf16", "int8", "fp16"] = "fp32"
    calibration_note: str = ""


class OutOfDistribution(ManifestPart):
    """How the graph's `ood` is made, and which share of each named set passes `ood_threshold`."""

    method: str
    pass_rates: dict[str, float]


class ModalityRule(ManifestPart):
    """A picture is a photograph at or above `threshold` of the graph's `photograph`, dermoscopy below it.

    Within `margin` of the threshold it is neither: nobody has been told enough.
    """

    threshold: float = Field(gt=0, lt=1)
    margin: float = Field(default=0.0, ge=0, lt=0.5)
    balanced_accuracy: float
    data: str
    n: int

    def judge(self, photograph: float) -> Literal["dermoscopy", "photograph"] | None:
        """What the picture is; None when it cannot be told."""
        if abs(photograph - self.threshold) < self.margin:
            return None
        return "photograph" if photograph >= self.threshold else "dermoscopy"


class Conformal(ManifestPart):
    """A class is in a picture's set at or above its threshold; see `models.classifier.calibration.conformal`."""

    alpha: float = Field(gt=0, lt=1)
    thresholds: dict[str, float]
    coverage: float
    class_coverage: dict[str, float | None] = Field(default_factory=dict)
    set_size: float | None = None


class Provenance(ManifestPart):
    """Where the artifact comes from: enough to make it again.

    cross_validated: calibrated on the out-of-fold predictions of other networks, as its own have learned every fold.
    """

    config: dict[str, Any] = Field(default_factory=dict)
    command: str = ""
    commit: str = ""
    data: str = ""
    network_sha256: str = ""
    out_of_fold: str | None = None
    out_of_fold_sha256: str | None = None
    served_scores_sha256: str | None = None
    cross_validated: bool = False


class Bfloat16(ManifestPart):
    """model.onnx in bfloat16, with everything that leads to the convolutions `float32_before` left in float32.

    Measured on held-out pictures against float32. Without this record nobody has, and it is not served so.
    """

    float32_before: tuple[str, ...] = ()
    auc_change: float
    interval: tuple[float, float]
    largest_change: float
    data: str
    n: int


class Input(ManifestPart):
    """How a picture becomes the graph's input; `models.classifier.serving.preprocess` does it."""

    size: int
    geometry: Geometry
    resample: Filter


class ClassifierManifest(ManifestPart):
    """manifest.json, schema version 1."""

    schema_version: Literal[1]
    name: str
    version: str
    input: Input
    classes: tuple[str, ...]
    calibration: ManifestCalibration
    ood_threshold: float | None = None
    ood: OutOfDistribution | None = None
    modality: ModalityRule | None = None
    conformal: Conformal | None = None
    views: Literal[1, 2, 4, 8] = 1
    files: dict[str, Variant]
    default: str = MODEL_FILE
    bf16: Bfloat16 | None = None
    provenance: Provenance | None = None
    training_data_sha256: str
    licence: str


class ClassifierArtifact:
    """A verified folder."""

    def __init__(self, folder: Path, manifest: ClassifierManifest) -> None:
        self.folder, self.manifest = folder, manifest

    @property
    def digest(self) -> str:
        """First 12 hex digits of the manifest's SHA-256; the manifest holds every file's."""
        return sha256(self.folder / MANIFEST)[:12]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest and check every file's hash. Raises ArtifactError."""
        manifest = read_manifest(folder, ClassifierManifest, "classifier")
        for name in (MODEL_FILE, manifest.default):
            if name not in manifest.files:
                raise ArtifactError(f"{folder / MANIFEST} does not name {name}")
        check_files(folder, {name: variant.sha256 for name, variant in manifest.files.items()})
        return cls(folder, manifest)
