"""Calibration and figures, with predictors whose answers are known."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export import vlm_release
from models.classifier.data.table import Row
from models.common.artifact import ArtifactError
from models.vlm.serving.artifact import VlmArtifact
from models.vlm.serving.preprocess import View

VIEW = View(size=16, geometry="squash", resample="bilinear")
FIELDS = {
    "name": "n",
    "version": "1",
    "purpose": "tests",
    "question": "?",
    "input": VIEW.model_dump(),
    "licence": "none",
}


def answer(p: float) -> list[tuple[str, float]]:
    return [("Yes", math.log(p)), ("No", math.log(1 - p))]


def by_brightness(images: Sequence[Image.Image]) -> list[list[tuple[str, float]]]:
    """Darker is surer, whichever way up."""
    return [answer(0.98 - 0.96 * float(np.asarray(image).mean()) / 255) for image in images]


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        melanoma = number % 3 == 0
        level = int(np.clip(rng.normal(90 if melanoma else 150, 40), 0, 255))
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (40, 30), (level,) * 3).save(path)
        rows.append(Row(path, "mel" if melanoma else "nv", f"g{number}", "train", "ham10000"))
    return rows


def test_a_fold_gives_calibration_spread_and_threshold(rows: list[Row]) -> None:
    fitted = vlm_release.fit(by_brightness, rows, VIEW, "a fold")
    assert fitted.fold["prevalence"] == pytest.approx(1 / 3)
    assert fitted.fold["logit_sd"] == pytest.approx(0, abs=1e-6), "turning changes nothing for this one"
    assert fitted.calibration.slope > 0
    assert fitted.calibration.null_logit == pytest.approx(math.log(0.4982 / 0.5018), abs=0.01)
    assert fitted.thresholds["sensitivity_95"]["sensitivity"] >= 0.95
    p = [fitted.calibration.melanoma(z) for z in vlm_release.logits(by_brightness, vlm_release.read(rows, VIEW))]
    assert np.mean(p) == pytest.approx(1 / 3, abs=0.03)


def test_turning_is_measured(rows: list[Row]) -> None:
    def by_corner(images: Sequence[Image.Image]) -> list[list[tuple[str, float]]]:
        return [answer(0.9 - 0.8 * float(np.asarray(image)[:8, :8].mean()) / 255) for image in images]

    for row in rows:
        with Image.open(row.path) as image:
            half = image.copy()
        half.paste((255, 255, 255), (20, 0, 40, 15))
        half.save(row.path)
    assert vlm_release.fit(by_corner, rows, VIEW, "a fold").fold["logit_sd"] > 0.05


def test_a_model_that_says_something_else_is_not_released(rows: list[Row]) -> None:
    def chatty(images: Sequence[Image.Image]) -> list[list[tuple[str, float]]]:
        return [[("The", math.log(0.9)), ("Yes", math.log(0.05)), ("No", math.log(0.05))] for _ in images]

    with pytest.raises(ValueError, match="neither Yes nor No"):
        vlm_release.fit(chatty, rows, VIEW, "a fold")


def test_the_manifest_holds_every_file(rows: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "release"
    (folder / "merged").mkdir(parents=True)
    (folder / "merged" / "weights.bin").write_bytes(b"weights")
    (folder / "model.onnx").write_bytes(b"a graph")
    fitted = vlm_release.fit(by_brightness, rows, VIEW, "a fold")
    written = vlm_release.write_manifest(folder, FIELDS, fitted, {})
    assert list(written.manifest.files) == ["model.onnx"]
    assert list(written.manifest.engine_files) == ["merged/weights.bin"]
    assert json.loads((folder / "manifest.json").read_text())["schema_version"] == 1
    shutil.rmtree(folder / "merged")
    VlmArtifact.load(folder)  # the engine's machine has it
    (folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(ArtifactError, match="differs from the manifest"):
        VlmArtifact.load(folder)
