"""The SBOM follows the locks: Python's by platform, npm's without what only develops the app."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli.images import lock
from cli.images.targets import TARGETS
from cli.processes import ROOT

REFERENCE = "registry.example/melalog-app@sha256:" + "a" * 64
MANIFEST = {
    "name": "efficientnet_b0",
    "version": "0.1.0",
    "files": {"model.onnx": "b" * 64, "model-int8.onnx": {"sha256": "c" * 64}},
}


def written(name: str, context: Path) -> dict[str, Any]:
    """The document, valid against CycloneDX's schema."""
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415  (as slow to import as what it validates)
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    from cli.images import lock_sbom  # noqa: PLC0415

    text = lock_sbom.document(TARGETS[name], context, REFERENCE)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document: dict[str, Any] = json.loads(text)
    return document


def test_the_app_lists_what_it_is_bundled_from() -> None:
    parts = written("app", ROOT / "frontend")["components"]
    listed = {part["name"]: part for part in parts}
    ours = json.loads((ROOT / "frontend" / "package.json").read_text())
    assert set(ours["dependencies"]) <= set(listed)
    assert listed["react"]["version"] == ours["dependencies"]["react"]
    assert not {"vitest", "eslint", "playwright-core"} & set(listed)
    assert len({part["bom-ref"] for part in parts}) == len(parts), "CycloneDX wants each once"
    scoped = next(part for part in parts if part["name"].startswith("@"))
    assert scoped["purl"].startswith("pkg:npm/%40")


def test_an_image_lists_its_lock_and_its_models(tmp_path: Path) -> None:
    shutil.copy(ROOT / "requirements" / "classifier.txt", tmp_path / "requirements.txt")
    model = tmp_path / "bento" / "models" / "melalog-classifier" / "0123"
    model.mkdir(parents=True)
    (model / "manifest.json").write_text(json.dumps(MANIFEST))
    document = written("classifier", tmp_path)
    assert document["specVersion"] == "1.6"
    assert (
        document["metadata"]["component"] | {"name": "melalog-classifier", "type": "container"}
        == (document["metadata"]["component"])
    )
    kinds = Counter(part["type"] for part in document["components"])
    assert kinds == {
        "library": len(lock.python_packages((tmp_path / "requirements.txt").read_text())),
        "machine-learning-model": 1,
    }
    listed = next(part for part in document["components"] if part["type"] == "machine-learning-model")
    assert (listed["name"], listed["version"]) == ("efficientnet_b0", "0.1.0")
    assert {part["name"]: part["hashes"] for part in listed["components"]} == {
        "model.onnx": [{"alg": "SHA-256", "content": "b" * 64}],
        "model-int8.onnx": [{"alg": "SHA-256", "content": "c" * 64}],
    }


def test_the_same_image_has_the_same_serial_number() -> None:
    first, second = (written("app", ROOT / "frontend") for _ in range(2))
    assert first["serialNumber"] == second["serialNumber"]


def test_a_gpu_image_lists_onnx_runtime_once() -> None:
    names = [package.name for package in lock.python_packages(TARGETS["classifier-gpu"].lock.read_text())]
    assert "onnxruntime-gpu" in names
    assert "onnxruntime" not in names, "one module, two packages: they break each other"


@pytest.mark.parametrize("name", ["orchestrator", "classifier", "vlm", "fusion"])
def test_only_what_linux_installs_is_listed(name: str) -> None:
    names = {package.name for package in lock.python_packages(TARGETS[name].lock.read_text())}
    assert "bentoml" in names
    assert not {"colorama", "pywin32"} & names
