"""ONNX Runtime behind its port, where the artifact is found, and the heat map's drawing."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.classifier.serving.artifact import MODEL_FILE
from services.classifier import heatmap
from services.classifier.engine.onnx_runtime import OnnxEngine


def test_one_finding_per_picture_in_order(folder: Path) -> None:
    levels = [0, 51, 204]
    batch = np.stack([np.full((48, 48, 3), level, np.uint8) for level in levels])
    found = OnnxEngine(folder / MODEL_FILE, threads=1).run(batch)
    assert [scores.melanoma for scores in found] == pytest.approx([0, 0.2, 0.8], abs=1e-5)
    assert all(isinstance(scores.malignant, float) for scores in found)
    assert found[1].heatmap.shape == (48, 48)
    assert found[1].classes.shape == (7,)
    assert found[2].ood == pytest.approx(-0.8, abs=1e-5)


def test_names_the_runtime_it_uses(folder: Path) -> None:
    assert OnnxEngine(folder / MODEL_FILE, threads=1).name.startswith("onnxruntime-")


def test_a_file_that_is_no_graph_is_refused_at_the_start(tmp_path: Path) -> None:
    broken = tmp_path / MODEL_FILE
    broken.write_bytes(b"not a graph")
    with pytest.raises(Exception, match=r"(?i)protobuf|model"):
        OnnxEngine(broken, threads=1)


def test_a_heat_map_is_a_small_grey_png_whatever_the_network_says() -> None:
    wild = np.array([[-1.0, 2.0], [0.5, 0.0]], np.float32)
    with Image.open(io.BytesIO(base64.b64decode(heatmap.png(wild)))) as drawn:
        assert (drawn.format, drawn.mode, drawn.size) == ("PNG", "L", (128, 128))
        pixels = np.asarray(drawn, int)
    assert pixels[8, 8] == 0
    assert pixels[8, 120] == 255
    assert 100 < pixels[120, 8] < 180
