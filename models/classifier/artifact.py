"""The released classifier as a folder: manifest.json is the only truth about the files beside it. Torch-free."""

import hashlib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from models.classifier.preprocess import Filter, Geometry

MODEL_FILE = "model.onnx"
STORE_NAME = "melalog-classifier"
"""In BentoML's model store, which is filled from the released folder when a bento is built."""
RELEASED = Path(__file__).parents[1] / "released" / "classifier"


class ArtifactError(RuntimeError):
    """The folder is not a usable artifact; the message names the file and what is wrong with it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Measured(_Part):
    """A figure with its 95 % interval and what it was measured on."""

    value: float
    interval: tuple[float, float]
    data: str
    n: int


class Threshold(_Part):
    """A cut on the melanoma probability, with what was measured there on the calibration fold."""

    value: float
    sensitivity: float
    specificity: float


class Calibration(_Part):
    """What the in-graph calibration was fitted on."""

    data: str
    n: int
    prevalence: float = Field(gt=0, lt=1)
    malignant_prevalence: float = Field(gt=0, lt=1)
    logit_sd: float = Field(ge=0)


class Variant(_Part):
    """One file of the network, with its own hash and figures."""

    sha256: str
    thresholds: dict[str, Threshold]
    metrics: dict[str, Measured]


class Input(_Part):
    """How a picture becomes the graph's input; `models.classifier.preprocess` does it."""

    size: int
    geometry: Geometry
    resample: Filter


class Manifest(_Part):
    """manifest.json, schema version 1."""

    schema_version: Literal[1]
    name: str
    version: str
    input: Input
    classes: tuple[str, ...]
    calibration: Calibration
    ood_threshold: float | None
    files: dict[str, Variant]
    training_data_sha256: str
    licence: str


class Artifact:
    """A verified folder."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    @property
    def digest(self) -> str:
        """First 12 hex digits of the manifest's SHA-256; the manifest holds every file's."""
        return sha256(self.folder / "manifest.json")[:12]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest and check every file's hash. Raises ArtifactError."""
        path = folder / "manifest.json"
        try:
            manifest = Manifest.model_validate_json(path.read_text())
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} does not exist: no classifier is released there") from error
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ArtifactError(f"{path} is not a manifest of schema version 1: {error}") from error
        if MODEL_FILE not in manifest.files:
            raise ArtifactError(f"{path} does not name {MODEL_FILE}")
        for name, variant in manifest.files.items():
            file = folder / name
            if Path(name).name != name or not file.is_file():
                raise ArtifactError(f"{path} names {name!r}, and there is no such file beside it")
            if sha256(file) != variant.sha256:
                raise ArtifactError(f"{file} is not the file that was released: its SHA-256 differs from the manifest")
        return cls(folder, manifest)


def sha256(file: Path) -> str:
    """Hex digest of a file."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
