"""What every released model is: a folder whose manifest.json names each file with its SHA-256. Torch-free."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

MANIFEST = "manifest.json"


class ArtifactError(RuntimeError):
    """The folder is not a usable artifact; the message names the file and what is wrong with it."""


class ManifestPart(BaseModel):
    """Base of a manifest's parts: frozen, finite, tolerant of fields that a later version adds."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, protected_namespaces=())


class Measured(ManifestPart):
    """A figure with its 95 % interval and what it was measured on."""

    value: float
    interval: tuple[float, float]
    data: str
    n: int


class Threshold(ManifestPart):
    """A cut on a probability, with what was measured there on the calibration fold."""

    value: float
    sensitivity: float
    specificity: float


P = TypeVar("P", bound=ManifestPart)


def sha256(file: Path) -> str:
    """Hex digest of a file."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_manifest(folder: Path, kind: type[P], model: str) -> P:
    """The manifest of a folder. `model`: what should be there, for the message. Raises ArtifactError."""
    path = folder / MANIFEST
    try:
        return kind.model_validate_json(path.read_text())
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist: no {model} is released there") from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ArtifactError(f"{path} is not a manifest of schema version 1: {error}") from error


def check_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Compare each file, by its name below the folder, with its SHA-256. Raises ArtifactError."""
    for name, digest in digests.items():
        file = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not file.is_file():
            raise ArtifactError(f"{folder / MANIFEST} names {name!r}, and there is no such file in its folder")
        if sha256(file) != digest:
            raise ArtifactError(f"{file} is not the file that was released: its SHA-256 differs from the manifest")
