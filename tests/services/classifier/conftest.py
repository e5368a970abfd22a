"""A classifier whose every output can be told from the picture's brightness: no training, no torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.classifier.data.labels import CLASSES
from models.classifier.serving.artifact import ClassifierArtifact

SIZE = 48


def write_graph(path: Path) -> None:
    """melanoma = mean brightness m; the other six classes share 1 - m; heatmap = grey; ood = -m."""

    def constant(name: str, value: Any, dtype: type) -> Any:
        return numpy_helper.from_array(np.array(value, dtype), name)

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, [output], **attributes)

    outputs = {
        "melanoma": ["N"],
        "malignant": ["N"],
        "classes": ["N", 7],
        "logit": ["N"],
        "ood": ["N"],
        "heatmap": ["N", "H", "W"],
        "embedding": ["N", 3],
    }
    nodes = [
        node("Cast", ["image"], "float", to=TensorProto.FLOAT),
        node("Div", ["float", "c255"], "scaled"),
        node("ReduceMean", ["scaled", "axis3"], "heatmap", keepdims=0),
        node("ReduceMean", ["scaled", "axes12"], "embedding", keepdims=0),
        node("ReduceMean", ["scaled", "axes123"], "melanoma", keepdims=0),
        node("Sub", ["one", "melanoma"], "rest"),
        node("Div", ["rest", "six"], "share"),
        node("Unsqueeze", ["melanoma", "axis1"], "m"),
        node("Unsqueeze", ["share", "axis1"], "s"),
        node("Concat", ["s", "s", "s", "s", "m", "s", "s"], "classes", axis=1),
        node("Sum", ["melanoma", "share", "share"], "malignant"),
        node("Log", ["melanoma"], "log_m"),
        node("Log", ["rest"], "log_rest"),
        node("Sub", ["log_m", "log_rest"], "logit"),
        node("Neg", ["melanoma"], "ood"),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [
            constant("c255", 255, np.float32),
            constant("one", 1, np.float32),
            constant("six", 6, np.float32),
            constant("axis1", [1], np.int64),
            constant("axis3", [3], np.int64),
            constant("axes12", [1, 2], np.int64),
            constant("axes123", [1, 2, 3], np.int64),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A released folder."""
    made = tmp_path / "classifier"
    made.mkdir()
    write_graph(made / "model.onnx")
    manifest = {
        "schema_version": 1,
        "name": "brightness",
        "version": "1.2.3",
        "input": {"size": SIZE, "geometry": "squash", "resample": "bilinear"},
        "classes": CLASSES,
        "calibration": {"data": "d", "n": 9, "prevalence": 0.11, "malignant_prevalence": 0.2, "logit_sd": 0.4},
        "ood_threshold": -0.1,
        "files": {
            "model.onnx": {
                "sha256": hashlib.sha256((made / "model.onnx").read_bytes()).hexdigest(),
                "thresholds": {"sensitivity_95": {"value": 0.06, "sensitivity": 0.95, "specificity": 0.5}},
                "metrics": {"auc": {"value": 0.9, "interval": [0.8, 0.95], "data": "d", "n": 9}},
            }
        },
        "training_data_sha256": "0" * 64,
        "licence": "none",
    }
    (made / "manifest.json").write_text(json.dumps(manifest))
    return made


@pytest.fixture
def artifact(folder: Path) -> ClassifierArtifact:
    """The same, loaded."""
    return ClassifierArtifact.load(folder)
