"""checkov over everything that k8s/ can render, in an environment of its own: its pins are older than dev's."""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from cli.processes import ROOT
from tests.k8s.manifests import render

ENVIRONMENT = ROOT / ".venv-checkov"
LOCK = ROOT / "requirements" / "checkov.txt"
NOT_WANTED = {
    "CKV_K8S_11": "no CPU limit: it throttles; threads are bound to the request instead (base/common/deployment.yaml)",
    "CKV_K8S_15": "pulled once, not always: `melalog push` writes digests, which never change",
    "CKV_K8S_43": "digests are what `melalog push --overlay` writes; here are the names it replaces",
    "CKV_K8S_8": "a loader has nothing to probe: it sleeps while files are copied",
    "CKV_K8S_9": "as CKV_K8S_8",
}
"""Checks that we do not follow, and why."""
LOADERS = {f"Deployment.melalog.{name}-loader" for name in ("release", "training", "triton")}


@pytest.fixture(scope="module")
def checkov() -> Path:
    marker = ENVIRONMENT / "installed"
    if not marker.exists() or marker.stat().st_mtime < LOCK.stat().st_mtime:
        uv = [str(Path(sys.executable).with_name("uv"))]
        subprocess.run([*uv, "venv", "-q", "--clear", "--python", sys.executable, str(ENVIRONMENT)], check=True)
        install = ["pip", "install", "-q", "--python", str(ENVIRONMENT / "bin" / "python"), "--require-hashes"]
        subprocess.run([*uv, *install, "-r", str(LOCK)], check=True)
        marker.touch()
    return ENVIRONMENT / "bin" / "checkov"


@pytest.mark.slow
def test_checkov_finds_nothing_but_what_we_chose(checkov: Path, tmp_path: Path) -> None:
    for index, name in enumerate(("everything", "everything, with triton")):
        (tmp_path / f"{index}.yaml").write_text(yaml.safe_dump_all(render(name)))
    command = [str(checkov), "-d", str(tmp_path), "--framework", "kubernetes", "--skip-download", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] > 100
    failed = defaultdict(set)
    for one in report["results"]["failed_checks"]:
        failed[one["check_id"]].add(one["resource"])
    assert set(failed) == set(NOT_WANTED), "a new finding, or one that is not found any more"
    assert failed["CKV_K8S_8"] == failed["CKV_K8S_9"] == LOADERS
