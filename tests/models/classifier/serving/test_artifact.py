"""A released folder is believed only as far as its hashes go."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from models.classifier.serving.artifact import RELEASED, ClassifierArtifact
from models.common.artifact import ArtifactError, sha256

GRAPH = b"a graph"


def manifest(**changes: Any) -> dict[str, Any]:
    variant = {
        "sha256": hashlib.sha256(GRAPH).hexdigest(),
        "thresholds": {"sensitivity_95": {"value": 0.06, "sensitivity": 0.95, "specificity": 0.5}},
        "metrics": {},
    }
    return {
        "schema_version": 1,
        "name": "n",
        "version": "1",
        "input": {"size": 144, "geometry": "squash", "resample": "bilinear"},
        "classes": ["mel", "nv"],
        "calibration": {"data": "d", "n": 9, "prevalence": 0.1, "malignant_prevalence": 0.2, "logit_sd": 0.4},
        "ood_threshold": None,
        "files": {"model.onnx": variant},
        "training_data_sha256": "0" * 64,
        "licence": "none",
        **changes,
    }


def write(folder: Path, content: Any) -> Path:
    (folder / "model.onnx").write_bytes(GRAPH)
    (folder / "manifest.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        ClassifierArtifact.load(folder)
    assert str(folder) in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_whole_folder_is_loaded(tmp_path: Path) -> None:
    found = ClassifierArtifact.load(write(tmp_path, manifest(added_in_a_later_version=True)))
    assert found.manifest.input.size == 144
    assert found.digest == sha256(tmp_path / "manifest.json")[:12]


@pytest.mark.parametrize("at", [0, 3, len(GRAPH) - 1])
def test_a_tampered_file_is_refused(tmp_path: Path, at: int) -> None:
    write(tmp_path, manifest())
    tampered = bytearray(GRAPH)
    tampered[at] ^= 1
    (tmp_path / "model.onnx").write_bytes(tampered)
    refused(tmp_path, "model.onnx", "SHA-256")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, manifest())
    (tmp_path / "model.onnx").unlink()
    refused(tmp_path, "'model.onnx'", "no such file in its folder")


def test_a_missing_folder_or_manifest_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "manifest.json", "does not exist")
    (tmp_path / "manifest.json").mkdir()
    refused(tmp_path, "manifest.json", "cannot be read")
    with pytest.raises(ArtifactError, match=r"nowhere.manifest\.json does not exist"):
        ClassifierArtifact.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/../../secret", "..", ".", ""])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Even if what it names is there and its hash is right."""
    folder = tmp_path / "released"
    folder.mkdir()
    (folder / "sub").mkdir()
    (tmp_path / "secret").write_bytes(GRAPH)
    files = manifest()["files"]
    write(folder, manifest(files={**files, name: files["model.onnx"]}))
    refused(folder, repr(name), "no such file in its folder")


def test_a_manifest_that_vouches_for_no_model_is_refused(tmp_path: Path) -> None:
    write(tmp_path, manifest(files={}))
    refused(tmp_path, "manifest.json", "model.onnx")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "object"),
        ("\ufeff{}", "JSON"),
        (manifest(schema_version=2), "schema_version"),
        (manifest(input={"size": 144, "geometry": "stretch", "resample": "bilinear"}), "geometry"),
        ({**manifest(), "calibration": {**manifest()["calibration"], "prevalence": 0.0}}, "prevalence"),
        ({**manifest(), "calibration": {**manifest()["calibration"], "logit_sd": float("nan")}}, "logit_sd"),
        ({key: value for key, value in manifest().items() if key != "licence"}, "licence"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_and_says_what_is_wrong(
    tmp_path: Path, content: Any, word: str
) -> None:
    refused(write(tmp_path, content), "manifest.json", word)


def test_what_is_released_here_is_whole() -> None:
    if not RELEASED.is_dir():
        pytest.skip("no classifier is released in this checkout")
    assert ClassifierArtifact.load(RELEASED).manifest.schema_version == 1
