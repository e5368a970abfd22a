"""The shipped base and adapter, merged: the same answers before, after, and as the graph that is served."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from export import vlm, vlm_graph
from export.vlm_layout import check_layout
from models.vlm.data import conversation
from models.vlm.evaluation.predict import log_odds
from models.vlm.serving.artifact import MODEL_FILE, RELEASED, VlmArtifact
from models.vlm.vlm_errors import AdapterError

BASE, ADAPTER = RELEASED / "base", RELEASED / "adapter"


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged") / "checkpoint"
    assert vlm.merge(BASE, ADAPTER, folder, "float16") <= vlm.PARITY
    return folder


def test_the_merged_checkpoint_is_one_the_engine_loads(merged: Path) -> None:
    check_layout(merged)
    assert not list(merged.rglob("adapter*"))


def test_the_shipped_graph_is_that_checkpoint(merged: Path) -> None:
    manifest = VlmArtifact.load(RELEASED).manifest
    model, processor = vlm.load(merged)
    assert manifest.prompt_ids == conversation.encode(processor, manifest.question).prompt
    images = vlm.probe_images(manifest.input, 16)
    predictor = vlm_graph.GraphPredictor(RELEASED / MODEL_FILE, processor, manifest.prompt_ids)
    graph = 1 / (1 + np.exp(-log_odds(predictor(images))))
    np.testing.assert_allclose(graph, vlm.p_yes(model, processor, images, manifest.question), atol=2e-3)


def test_the_adapter_is_what_makes_the_answer() -> None:
    manifest = VlmArtifact.load(RELEASED).manifest
    images = vlm.probe_images(manifest.input, 8)
    without = vlm.p_yes(*vlm.load(BASE), images, manifest.question)
    with_adapter = vlm.p_yes(*vlm.load(BASE, ADAPTER), images, manifest.question)
    assert np.abs(without - with_adapter).max() > 0.05


def test_an_adapter_of_another_base_is_not_merged(tmp_path: Path) -> None:
    other = tmp_path / "base"
    shutil.copytree(BASE, other)
    weights = other / "model.safetensors"
    spoilt = bytearray(weights.read_bytes())
    spoilt[len(spoilt) // 2 :] = bytes(len(spoilt) - len(spoilt) // 2)
    weights.write_bytes(spoilt)
    with pytest.raises(AdapterError, match="was made for"):
        vlm.merge(other, ADAPTER, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_merge_that_changes_the_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlm, "PARITY", -1.0)
    with pytest.raises(vlm.MergeError, match="merging moved P"):
        vlm.merge(BASE, ADAPTER, tmp_path / "out", "float16")


def test_without_data_a_release_is_uncalibrated_and_whole(tmp_path: Path) -> None:
    plan = vlm.MergePlan(BASE, ADAPTER, "n", "0", "tests", "float16")
    written = vlm.release(plan, tmp_path / "out", None)
    assert written.artifact is None
    check_layout(tmp_path / "out" / "merged")
    assert not (tmp_path / "out.unfinished").exists()
