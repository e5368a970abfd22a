"""`melalog push` as it is called, with the engine and a real registry: the overlay names what the registry has."""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.fakes import debian_registry
from tests.images.conftest import Containers

pytestmark = [pytest.mark.images, pytest.mark.timeout(600)]
MELALOG = Path(sys.executable).with_name("melalog")
MANIFEST = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


def melalog(*arguments: str | Path) -> dict[str, str]:
    """What it said, by the word at the start of each line."""
    done = subprocess.run([MELALOG, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line[:11].strip(): line[11:] for line in done.stdout.splitlines()}


def test_the_digest_is_the_registry_s_and_the_way_back_is_a_way(containers: Containers, tmp_path: Path) -> None:
    overlay = tmp_path / "gitops"
    overlay.mkdir()
    file = overlay / "kustomization.yaml"
    file.write_text("namespace: melalog\nresources: []\n")
    with debian_registry.serving(tmp_path) as port:
        command = ("push", "fusion", "--registry", f"127.0.0.1:{port}/team", "--overlay", overlay)
        tag = melalog(*command)["pushed"].split()[0].rsplit(":", 1)[1]
        (entry,) = yaml.safe_load(file.read_text())["images"]
        found = httpx2.head(
            f"http://127.0.0.1:{port}/v2/team/melalog-fusion/manifests/{tag}",
            headers={"Accept": MANIFEST},
            trust_env=False,
        )
        assert found.headers["docker-content-digest"] == entry["digest"]
        containers.run("rmi", f"127.0.0.1:{port}/team/melalog-fusion:{tag}")

        before = entry["digest"].replace(entry["digest"][7:15], "0" * 8)  # as if another had been deployed
        file.write_text(file.read_text().replace(entry["digest"], before))
        said = melalog(*command)
        assert yaml.safe_load(file.read_text())["images"] == [entry]
        back, *rest = said["roll back"].split(" && ")
        melalog(*back.split()[1:])
        assert yaml.safe_load(file.read_text())["images"] == [{**entry, "digest": before}]
        assert rest[0] == f"kubectl apply -k {overlay}"
        containers.run("rmi", f"127.0.0.1:{port}/team/melalog-fusion:{tag}")
