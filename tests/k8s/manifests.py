"""What `kubectl apply -k` would send: overlays, and components put onto base, as lists of objects."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]
K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("local", "production")
COMPONENTS = tuple(
    sorted(
        str(file.parent.relative_to(K8S / "components"))
        for file in (K8S / "components").rglob("kustomization.yaml")
        if "kind: Component" in file.read_text()
    )
)
NEEDS = {"keda": ("gpu/engine",)}
"""Components that change what another one brings."""
EVERYTHING = tuple(name for name in COMPONENTS if name not in ("triton", "gpu/classifier", "gpu/engine"))
"""All that goes together: `triton` and `gpu` both say what runs the classifier, and `gpu` is its two parts."""
RENDERINGS = ("base", *OVERLAYS, *(f"base+{name}" for name in COMPONENTS), "everything", "everything, with triton")


@cache
def _rendered(name: str) -> str:
    if name in (*OVERLAYS, "base"):
        return json.dumps(_kustomize(K8S / "base" if name == "base" else K8S / "overlays" / name))
    if name.startswith("base+"):
        added = name.removeprefix("base+")
        return json.dumps(_put_together("base", *NEEDS.get(added, ()), added))
    parts = set(EVERYTHING) - {"network", "priority", "autoscaling"}  # these are in production already
    if name.endswith("triton"):
        parts = parts - {"gpu"} | {"gpu/engine", "triton"}
    order = sorted(parts, key=lambda part: (part == "keda", part))
    return json.dumps(_put_together("overlays/production", *order))


def render(name: str) -> list[Manifest]:
    """One of RENDERINGS, as a copy that a test may spoil."""
    found: list[Manifest] = json.loads(_rendered(name))
    return found


def _put_together(start: str, *components: str) -> list[Manifest]:
    """As an overlay of an operator's own would."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        root = Path(os.path.relpath(K8S, folder))
        whole = {
            "namespace": "melalog",
            "resources": [str(root / start)],
            "components": [str(root / "components" / name) for name in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(whole))
        return _kustomize(folder)


def _kustomize(folder: Path) -> list[Manifest]:
    if shutil.which("kubectl") is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("kubectl is not installed: nothing can render k8s/")
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kustomize warns: {done.stderr}"
    return list(yaml.safe_load_all(done.stdout))


def named(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """All of a kind, by name."""
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod template, with the name of what makes the pod."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield manifest["metadata"]["name"], spec["template"]


def containers(pod: Manifest) -> list[Manifest]:
    """Of a pod template, those that run first among them."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def chosen(selector: Manifest | None, labels: dict[str, str]) -> bool:
    """Whether a label selector (matchLabels and matchExpressions; empty: all) chooses these labels."""
    told = selector or {}
    if not told.get("matchLabels", {}).items() <= labels.items():
        return False
    for rule in told.get("matchExpressions", ()):
        value, values = labels.get(rule["key"]), rule.get("values", ())
        right = {"In": value in values, "NotIn": value not in values, "Exists": value is not None}
        if not right.get(rule["operator"], False):
            return False
    return True
