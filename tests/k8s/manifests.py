"""What `kubectl apply -k` would send: overlays, and components put onto base, as lists of objects."""

import json
import os
import re
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
LINE = re.compile(r"(?m)^  (?:# )?- \.\./\.\./components/(\S+)$")
"""A component's line in an overlay, on or off."""
OFFERED = {name: tuple(LINE.findall((K8S / "overlays" / name / "kustomization.yaml").read_text())) for name in OVERLAYS}
"""Components by overlay, in the order of its list."""
RENDERINGS = (
    *("base", *OVERLAYS, *(f"base+{name}" for name in COMPONENTS)),
    *("everything", "everything, with triton", "everything on local", "everything on local, with triton"),
)
"""`everything` is production with all its lines switched on: `triton` and `gpu` both say what runs the classifier."""


@cache
def _rendered(name: str) -> str:
    if name in (*OVERLAYS, "base"):
        return json.dumps(kustomize(K8S / "base" if name == "base" else K8S / "overlays" / name))
    if name.startswith("base+"):
        added = name.removeprefix("base+")
        return json.dumps(_put_together("base", *NEEDS.get(added, ()), added))
    overlay = "local" if "on local" in name else "production"
    wanted = set(OFFERED[overlay]) - {"gpu" if name.endswith("with triton") else "triton"}
    if "gpu" not in wanted:
        wanted.add("gpu/engine")
    return json.dumps(_switched_on(overlay, wanted))


def switched_on(overlay: str, component: str) -> list[Manifest]:
    """An overlay with one line more, and what that one needs."""
    needed = {part.partition("/")[0] for part in NEEDS.get(component, ())}
    return _switched_on(overlay, {component, *needed})


def _switched_on(overlay: str, wanted: set[str]) -> list[Manifest]:
    """By its own list, as an operator does it: lines lose their `# `, or go, and `gpu` may become its engine alone."""

    def line(found: re.Match[str]) -> str:
        part = "gpu/engine" if found[1] == "gpu" and "gpu" not in wanted and "gpu/engine" in wanted else found[1]
        return f"  - ../../components/{part}" if part in wanted or "#" not in found[0] else found[0]

    with tempfile.TemporaryDirectory() as made:
        copy = Path(shutil.copytree(K8S, Path(made).resolve() / "k8s"))
        file = copy / "overlays" / overlay / "kustomization.yaml"
        file.write_text(LINE.sub(line, file.read_text()))
        return kustomize(file.parent)


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
        return kustomize(folder)


def kustomize(folder: Path) -> list[Manifest]:
    """What the cluster gets of a folder; a warning is a failure."""
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
