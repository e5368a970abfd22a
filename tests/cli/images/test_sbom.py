"""The list of contents follows the locks: Python's by platform, npm's without what only develops the app."""

import json

from cli.images import sbom
from cli.images.targets import TARGETS
from cli.processes import ROOT

REFERENCE = "registry.example/melalog-app@sha256:" + "a" * 64


def test_the_app_lists_what_it_is_bundled_from() -> None:
    found = sbom.of_lock(TARGETS["app"], ROOT / "frontend", REFERENCE)
    parts = found["components"]
    assert isinstance(parts, list)
    listed = {part["name"]: part for part in parts}
    ours = json.loads((ROOT / "frontend" / "package.json").read_text())
    assert set(ours["dependencies"]) <= set(listed)
    assert listed["react"]["version"] == ours["dependencies"]["react"]
    assert not {"vitest", "eslint", "playwright-core"} & set(listed)
    assert len({part["bom-ref"] for part in parts}) == len(parts), "CycloneDX wants each once"
    scoped = next(part for part in parts if part["name"].startswith("@"))
    assert scoped["purl"].startswith("pkg:npm/%40")


def test_a_gpu_image_lists_onnx_runtime_once() -> None:
    names = [part["name"] for part in sbom.packages(TARGETS["classifier-gpu"].lock.read_text())]
    assert "onnxruntime-gpu" in names
    assert "onnxruntime" not in names, "one module, two packages: they break each other"
