"""A released vision-language model: manifest.json describes all files in its folder. Torch-free."""

import json
from pathlib import Path
from typing import Literal, Self

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
from models.vlm.serving.preprocess import View
from models.vlm.serving.scoring import PlattCalibration

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "base/tokenizer.json"
STORE_NAME = "melalog-vlm"
RELEASED = Path(__file__).parents[2] / "released" / "vlm"


class Fold(ManifestPart):
    """The images that the calibration was fitted on."""

    data: str
    n: int
    prevalence: float = Field(gt=0, lt=1)
    logit_sd: float = Field(ge=0)


class VlmManifest(ManifestPart):
    """manifest.json, schema version 1."""

    schema_version: Literal[1]
    name: str
    version: str
    purpose: str
    made: str = ""
    question: str = Field(min_length=1)
    input: View
    prompt_ids: tuple[int, ...] | None = None
    calibration: PlattCalibration
    fold: Fold
    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    metrics: dict[str, Measured] = Field(default_factory=dict)
    files: dict[str, str]
    engine_files: dict[str, str] = Field(default_factory=dict)
    """The merged checkpoint, up to 20 GB and perhaps on another machine: recorded, not read when the service starts.
    The service identifies the engine's model by its answer to the null image."""
    licence: str


class VlmArtifact:
    """A verified folder."""

    def __init__(self, folder: Path, manifest: VlmManifest) -> None:
        self.folder, self.manifest = folder, manifest

    @property
    def sha256(self) -> str:
        """Of the manifest, which has the hash of every file."""
        return sha256(self.folder / MANIFEST)

    @property
    def digest(self) -> str:
        """Its first 12 hex digits, for tags."""
        return self.sha256[:12]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest and check the SHA-256 of every file it names. Raises ArtifactError."""
        manifest = read_manifest(folder, VlmManifest, "vision-language model")
        check_files(folder, manifest.files)
        return cls(folder, manifest)

    def require_graph(self) -> None:
        """Raise ArtifactError unless this release includes a graph, for use without an engine."""
        if not {MODEL_FILE, TOKENIZER_FILE} <= self.manifest.files.keys() or self.manifest.prompt_ids is None:
            raise ArtifactError(f"{self.folder} holds no {MODEL_FILE}: it needs an engine (MELALOG_VLM_ENGINE=openai)")


def vocabulary(artifact: VlmArtifact) -> list[str]:
    """Tokens by id, as the tokenizer's own file spells them (a space is a Ġ, which scoring strips)."""
    tokenizer = json.loads((artifact.folder / TOKENIZER_FILE).read_text())
    ids: dict[str, int] = {
        **tokenizer["model"]["vocab"],
        **{added["content"]: added["id"] for added in tokenizer["added_tokens"]},
    }
    return sorted(ids, key=ids.__getitem__)
