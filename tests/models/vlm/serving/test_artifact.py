"""A released vision-language model is believed only as far as its hashes go."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from models.common.artifact import ArtifactError
from models.vlm.serving.artifact import RELEASED, VlmArtifact

GRAPH, TOKENS = b"a graph", b'{"model": {"vocab": {}}, "added_tokens": []}'


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "n",
        "version": "1",
        "purpose": "tests",
        "question": "Melanoma?",
        "input": {"size": 112, "geometry": "squash", "resample": "bilinear"},
        "prompt_ids": [1, 2, 3],
        "calibration": {"slope": 1.0, "intercept": -2.0, "null_logit": 0.5},
        "fold": {"data": "d", "n": 9, "prevalence": 0.1, "logit_sd": 0.4},
        "files": {
            "model.onnx": hashlib.sha256(GRAPH).hexdigest(),
            "base/tokenizer.json": hashlib.sha256(TOKENS).hexdigest(),
        },
        "licence": "none",
        **changes,
    }


def write(folder: Path, content: Any) -> Path:
    (folder / "base").mkdir()
    (folder / "model.onnx").write_bytes(GRAPH)
    (folder / "base/tokenizer.json").write_bytes(TOKENS)
    (folder / "manifest.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_a_whole_folder_is_loaded(tmp_path: Path) -> None:
    found = VlmArtifact.load(write(tmp_path, manifest(added_in_a_later_version=True)))
    found.require_graph()
    assert found.manifest.input.size == 112


@pytest.mark.parametrize("name", ["model.onnx", "base/tokenizer.json"])
def test_a_tampered_file_is_refused(tmp_path: Path, name: str) -> None:
    file = write(tmp_path, manifest()) / name
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError, match="differs from the manifest"):
        VlmArtifact.load(tmp_path)


@pytest.mark.parametrize("name", ["missing.bin", "../outside", "/etc/passwd"])
def test_only_files_of_the_folder_can_be_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_bytes(b"")
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(ArtifactError, match="no such file"):
        VlmArtifact.load(write(inner, manifest(files={name: "0" * 64})))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        manifest(schema_version=2),
        manifest(question=""),
        manifest(calibration={"slope": -1, "intercept": 0, "null_logit": 0}),
        manifest(fold={"data": "d", "n": 9, "prevalence": 0, "logit_sd": 0.4}),
        manifest(input={"size": 112, "geometry": "stretch"}),
    ],
    ids=["empty", "list", "version", "no question", "slope", "prevalence", "geometry"],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ArtifactError, match="schema version 1"):
        VlmArtifact.load(write(tmp_path, content))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no vision-language model is released there"):
        VlmArtifact.load(tmp_path / "nowhere")


@pytest.mark.parametrize("change", [{"files": {}}, {"prompt_ids": None}])
def test_a_release_for_an_engine_does_not_run_in_this_process(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="needs an engine"):
        VlmArtifact.load(write(tmp_path, manifest(**change))).require_graph()


def test_what_is_shipped_is_whole_small_and_honest() -> None:
    released = VlmArtifact.load(RELEASED)
    released.require_graph()
    assert sum(file.stat().st_size for file in RELEASED.rglob("*") if file.is_file()) <= 25_000_000
    assert "demonstration" in released.manifest.purpose.casefold()
    auc = released.manifest.metrics["ham10000_test_melanoma_auc"]
    assert auc.interval[0] <= auc.value <= auc.interval[1]
    assert f"{auc.value:.3f}" in (RELEASED / "MODEL_CARD.md").read_text()
