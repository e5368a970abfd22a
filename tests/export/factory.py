"""The commands of the factory on generated images, and what may happen to an artifact afterwards."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from typer.testing import CliRunner

from cli.main import app
from models.classifier.data.labels import MELANOMA
from models.common.artifact import sha256
from tests.models.classifier import tiny

PLAN = """\
backbone: test_efficientnet
calibration_folds: 2
cache_size: 40
stages: [{epochs: 1, size: 40}]
batch_size: 16
ema_decay: 0.5
precision: fp32
optimiser: {lr: 0.01}
selection: null
"""


def melalog(*words: str | Path, code: int = 0) -> str:
    """Run a command; returns its output in one line."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return " ".join(done.output.replace("│", " ").split())


def write_data(folder: Path) -> Path:
    """Dermoscopy and photographs."""
    data = tiny.write_data(folder)
    shutil.copytree(data / "ham10000", data / "pad_ufes_20")
    photographs = data / "pad_ufes_20" / "pad_ufes_20.csv"
    (data / "pad_ufes_20" / "ham10000.csv").rename(photographs)
    photographs.write_text(photographs.read_text().replace("ham10000-", "pad-").replace(",test", ",train"))
    return data


def change(folder: Path, **changes: Any) -> None:
    """Other values in a manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def seal(folder: Path, **changes: Any) -> None:
    """Make the manifest's hashes those of the files, and change its provenance."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.onnx"]["sha256"] = sha256(folder / "model.onnx")
    provenance = {**manifest["provenance"], "out_of_fold_sha256": sha256(folder / "out_of_fold.csv"), **changes}
    change(folder, files=manifest["files"], provenance=provenance)


def add_to_bias(folder: Path, amount: float) -> None:
    """Make every image likelier to be called melanoma, inside the graph, with a hash that is right."""
    bias = json.loads((folder / "manifest.json").read_text())["calibration"]["bias"]
    model = onnx.load(folder / "model.onnx")
    found = [
        tensor for tensor in model.graph.initializer
        if list(tensor.dims) in ([7], [1, 7]) and np.allclose(numpy_helper.to_array(tensor).ravel(), bias, atol=1e-6)
    ]  # fmt: skip
    assert len(found) == 1
    changed = numpy_helper.to_array(found[0]).copy()
    changed[..., MELANOMA] += amount
    found[0].CopyFrom(numpy_helper.from_array(changed, found[0].name))
    onnx.save(model, folder / "model.onnx")
    seal(folder)
