"""`melalog push` and `melalog images` as they are called, with a real registry and an engine that acts like podman."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from cli.images import context, lock
from cli.images.targets import TARGETS
from cli.main import app
from models.classifier.serving.artifact import RELEASED, ClassifierArtifact
from tests.conftest import free_ports
from tests.fakes import debian_registry as debian
from tests.fakes import registry as small

ROOT = Path(__file__).parents[3]
SETTINGS = [name for name in os.environ if name.startswith(("MELALOG_", "COSIGN_"))]
MELALOG = Path(sys.executable).with_name("melalog")


@pytest.fixture(params=["debian", "small"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """host:port of a registry: Debian's docker-registry where it is, and always our own small one."""
    if request.param == "small":
        with small.serving() as port:
            yield f"127.0.0.1:{port}"
        return
    with debian.serving(tmp_path) as port:
        yield f"127.0.0.1:{port}"


@dataclass
class Machine:
    """Where the command runs: what is on PATH, and what the engine was asked."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str | Path, **environment: str) -> Result:
        """In this process; a bento's home is known to BentoML from its import on, so that none is built here."""
        runner = CliRunner(env={**dict.fromkeys(SETTINGS), **self.environment, **environment})
        return runner.invoke(app, [str(argument) for argument in arguments])

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """In a process of its own."""
        kept = {key: value for key, value in os.environ.items() if key not in SETTINGS}
        return subprocess.run(
            [MELALOG, *map(str, arguments)],
            cwd=self.folder,
            env={**kept, **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def install(self, name: str, script: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "engine" / "calls").read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A PATH with nothing on it but what a test installs."""
    for name in ("bin", "engine", "home"):
        (tmp_path / name).mkdir()
    return Machine(
        tmp_path,
        {
            "PATH": str(tmp_path / "bin"),
            "FAKE_ENGINE": str(tmp_path / "engine"),
            "BENTOML_HOME": str(tmp_path / "home"),
        },
    )


@pytest.fixture
def podman(machine: Machine) -> Machine:
    machine.install("podman", f'exec {sys.executable} {ROOT / "tests/fakes/podman.py"} "$@"')
    return machine


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    folder = tmp_path / "gitops" / "production"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text("namespace: skin\nresources: [../base]\n# ours\nimages: []\n")
    return folder


def written(overlay: Path, image: str) -> dict[str, str]:
    entries = yaml.safe_load((overlay / "kustomization.yaml").read_text())["images"]
    return next(entry for entry in entries if entry["name"] == image)


def fetch(entry: dict[str, str]) -> tarfile.TarFile:
    """The one layer of what the overlay names."""
    host, _, name = entry["newName"].partition("/")
    api = f"http://{host}/v2/{name}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    found = httpx2.get(f"{api}/manifests/{entry['digest']}", headers=accept, trust_env=False).raise_for_status()
    layer = found.json()["layers"][0]["digest"]
    content = httpx2.get(f"{api}/blobs/{layer}", trust_env=False).raise_for_status().content
    return tarfile.open(fileobj=io.BytesIO(content))


def line(output: str, start: str) -> str:
    return next(text for text in output.splitlines() if text.startswith(start)).removeprefix(start).strip()


def test_push_then_push_again_then_roll_back(podman: Machine, overlay: Path, registry: str) -> None:
    arguments = ("push", "engine", "--registry", f"{registry}/team", "--overlay", overlay)
    done = podman.run(*arguments)
    assert done.exit_code == 0, done.stdout + done.stderr
    first = written(overlay, "melalog-engine")
    assert first["newName"] == f"{registry}/team/melalog-engine"
    with fetch(first) as layer:
        assert {"./Dockerfile", "./requirements.txt", "./launch.py"} <= set(layer.getnames())
    assert "# ours" in (overlay / "kustomization.yaml").read_text()
    assert line(done.stdout, "roll out") == (
        f"kubectl apply -k {overlay} && kubectl -n skin rollout status deployment/engine"
    )
    assert line(done.stdout, "roll back").startswith("kubectl -n skin rollout undo deployment/engine")
    assert line(done.stdout, "signature").startswith("not signed: no key")

    # Another model is another digest; here the same layers with a note will do.
    other = another(f"http://{registry}/v2/team/melalog-engine", first["digest"])
    entry = (overlay / "kustomization.yaml").read_text().replace(first["digest"], other)
    (overlay / "kustomization.yaml").write_text(entry)
    done = podman.run(*arguments)
    assert written(overlay, "melalog-engine") == first, "the same content has another tag or digest"
    tags = {call[call.index("--tag") + 1] for call in podman.calls() if call[0] == "build"}
    assert len(tags) == 1

    before = line(done.stdout, "roll back").split(" && ")[0].split()
    assert before[:2] == ["melalog", "push"]
    done = podman.run(*before[1:])
    assert done.exit_code == 0, done.stdout + done.stderr
    assert written(overlay, "melalog-engine") == {**first, "digest": other}

    mistyped = [*before[1:-1], "sha256:" + "5" * 64]
    done = podman.run(*mistyped)
    assert done.exit_code == 2
    assert "nothing was changed" in " ".join(done.stderr.replace("│", " ").split())
    assert written(overlay, "melalog-engine") == {**first, "digest": other}


def another(api: str, digest: str) -> str:
    """Put a second manifest of the same layers into the registry; its digest."""
    kind = "application/vnd.oci.image.manifest.v1+json"
    found = httpx2.get(f"{api}/manifests/{digest}", headers={"Accept": kind}, trust_env=False).raise_for_status()
    body = json.dumps({**found.json(), "annotations": {"note": "another"}}).encode()
    headers = {"Content-Type": found.headers["content-type"]}
    put = httpx2.put(f"{api}/manifests/other", content=body, headers=headers, trust_env=False).raise_for_status()
    return str(put.headers["docker-content-digest"])


@pytest.mark.parametrize("registry", ["small"], indirect=True)
def test_a_service_takes_the_model_it_is_given(podman: Machine, overlay: Path, registry: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(RELEASED, model)
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps({**manifest, "version": "9.9.9"}))
    done = podman.start(
        "push", "classifier", "--model", model, "--overlay", overlay, MELALOG_REGISTRY=f"http://{registry}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    digest = ClassifierArtifact.load(model).digest
    with fetch(written(overlay, "melalog-classifier")) as layer:
        members = {member.name: member for member in layer.getmembers()}
        inside = f"./bento/models/melalog-classifier/{digest}"
        assert yaml.safe_load(_read(layer, "./bento/bento.yaml"))["models"][0]["tag"] == f"melalog-classifier:{digest}"
        assert json.loads(_read(layer, f"{inside}/manifest.json"))["version"] == "9.9.9"
        assert _read(layer, "./requirements.txt") == (ROOT / "requirements" / "classifier.txt").read_bytes()
        assert all(member.mode & 0o004 for member in members.values() if member.name != "."), (
            "the image's user is another"
        )
        assert len([name for name in members if name.endswith(".onnx")]) == 1
        assert not [name for name in members if "/env/" in name or name.endswith(".csv")]
    (build,) = [call for call in podman.calls() if call[0] == "build"]
    assert "PORT=3001" in build
    assert "melalog-classifier:dev" in build

    contents = json.loads(Path(line(done.stdout, "contents").split(" (from")[0]).read_text())
    listed = {part["name"]: part["version"] for part in contents["components"]}
    assert listed["bentoml"] == "1.4.39"
    assert "tritonclient" in listed
    assert "torch" not in listed
    assert "colorama" not in listed, "only Windows has it"
    assert listed[manifest["name"]] == "9.9.9"


def test_what_trains_is_an_image_too(machine: Machine, overlay: Path, tmp_path: Path) -> None:
    laid = context.assemble(TARGETS["train"], "", tmp_path / "context")
    dockerfile = (laid / "Dockerfile").read_text()
    assert dockerfile == (ROOT / "k8s" / "components" / "training" / "Dockerfile").read_text()
    copied = re.findall(r"(?m)^COPY (\S+)", dockerfile)
    assert "requirements/dev.txt" in copied
    assert all((laid / part).exists() for part in copied), "the Dockerfile copies what is not in the context"
    assert {path.name for path in laid.iterdir()} == {"Dockerfile", *(part.partition("/")[0] for part in copied)}
    assert not list(laid.rglob("__pycache__"))
    assert "torch" in {package.name for package in lock.python_packages((laid / TARGETS["train"].locked).read_text())}

    done = machine.run("push", "train", "--registry", "registry.example", "--overlay", overlay, "--dry-run")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert line(done.stdout, "would set").startswith("melalog-train in")
    assert line(done.stdout, "roll out") == f"kubectl apply -k {overlay}", "Jobs: there is no Deployment to wait for"


@pytest.mark.parametrize("registry", ["small"], indirect=True)
def test_a_second_version_has_an_entry_of_its_own(podman: Machine, overlay: Path, registry: str) -> None:
    arguments = ("push", "engine", "--registry", registry, "--overlay", overlay, "--as", "melalog-engine-canary")
    done = podman.run(*arguments)
    assert done.exit_code == 0, done.stdout + done.stderr
    first = written(overlay, "melalog-engine-canary")
    assert first["newName"] == f"{registry}/melalog-engine", "another name in the overlay, the same image"
    document = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    assert [entry["name"] for entry in document["images"]] == ["melalog-engine-canary"]
    assert line(done.stdout, "roll out").endswith("rollout status deployment/engine-canary")

    other = another(f"http://{registry}/v2/melalog-engine", first["digest"])
    entry = (overlay / "kustomization.yaml").read_text().replace(first["digest"], other)
    (overlay / "kustomization.yaml").write_text(entry)
    done = podman.run(*arguments)
    back = line(done.stdout, "roll back").split(" && ")[0].split()
    assert back[-2:] == ["--as", "melalog-engine-canary"]
    text = (overlay / "kustomization.yaml").read_text()
    (overlay / "kustomization.yaml").write_text(text.replace(first["digest"], "sha256:" + "5" * 64))
    done = podman.run(*back[1:])
    assert done.exit_code == 0, done.stdout + done.stderr
    assert written(overlay, "melalog-engine-canary") == {**first, "digest": other}


def _read(layer: tarfile.TarFile, name: str) -> bytes:
    found = layer.extractfile(name)
    assert found is not None
    return found.read()


@pytest.mark.parametrize("registry", ["small"], indirect=True)
def test_tools_that_are_there_are_used(podman: Machine, registry: str) -> None:
    podman.install("syft", 'echo "syft $*" >> "$FAKE_ENGINE/tools"; echo "{}" > "${4#cyclonedx-json=}"')
    podman.install("cosign", 'echo "cosign $*" >> "$FAKE_ENGINE/tools"')
    done = podman.run("push", "engine", "--registry", registry, COSIGN_KEY="cosign.key")
    assert done.exit_code == 0, done.stdout + done.stderr
    reference = re.search(rf"{registry}/melalog-engine@sha256:\w+", done.stdout)
    assert reference is not None
    contents = line(done.stdout, "contents").split(" (from")[0]
    calls = (podman.folder / "engine" / "tools").read_text().splitlines()
    insecure = "--yes --allow-http-registry --key cosign.key"
    assert calls[1:] == [
        f"cosign sign {insecure} {reference[0]}",
        f"cosign attest {insecure} --type cyclonedx --predicate {contents} {reference[0]}",
    ]
    assert calls[0].startswith(f"syft scan registry:{reference[0]} --output cyclonedx-json=")
    assert "kustomize edit set image melalog-engine=" + reference[0] in done.stdout

    (podman.folder / "bin" / "cosign").unlink()
    done = podman.run("push", "engine", "--registry", registry, "--key", "k.pem")
    assert done.exit_code == 0
    assert "NOT SIGNED: there is a key, but cosign is not installed" in done.stdout


def test_a_dry_run_changes_nothing(machine: Machine, overlay: Path) -> None:
    before = (overlay / "kustomization.yaml").read_text()
    done = machine.run("push", "engine", "--registry", "registry.example", "--overlay", overlay, "--dry-run")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "no container engine works here" in done.stdout
    assert re.search(
        r"would run  podman build --file CONTEXT/Dockerfile --tag registry.example/melalog-engine:\w{16} ", done.stdout
    )
    assert "would set  melalog-engine" in done.stdout
    assert (overlay / "kustomization.yaml").read_text() == before


def test_no_engine(machine: Machine) -> None:
    machine.install("docker", "echo Cannot connect to the Docker daemon. >&2; exit 1")
    for command in (("images",), ("push", "engine", "--registry", "registry.example")):
        done = machine.run(*command)
        assert done.exit_code == 2
        message = " ".join(done.stderr.replace("│", " ").split())
        assert "docker is installed and does not work: Cannot connect to the Docker daemon." in message
        assert "podman is not installed: `apt-get install podman`" in message
        assert "buildah is not installed" in message


def test_an_engine_that_fails_leaves_the_overlay_alone(podman: Machine, overlay: Path) -> None:
    before = (overlay / "kustomization.yaml").read_text()
    (port,) = free_ports(1)
    done = podman.run("push", "engine", "--registry", f"127.0.0.1:{port}", "--overlay", overlay)
    assert done.exit_code == 2
    assert "could not push" in done.stderr
    assert "pinging container registry" in " ".join(done.stderr.replace("│", " ").split())
    assert (overlay / "kustomization.yaml").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("push", "classifier"), "set MELALOG_REGISTRY or --registry"),
        (("push", "classifier", "--registry", "ghcr.io/Team"), "is not a registry"),
        (("push", "clasifier", "--registry", "r.example"), "choose one of orchestrator, classifier, vlm, fusion"),
        (("push", "classifier", "--registry", "r.example", "--overlay", "prod"), "there is no overlay 'prod'"),
        (("push", "classifier", "--registry", "r.example", "--digest", "sha256:1"), "use it with --overlay"),
        (("push", "engine", "--registry", "r.example", "--as", "melalog-engine-canary"), "use it with --overlay"),
        (("push", "engine", "--registry", "r.example", "--overlay", "local", "--as", "canary"), "such as melalog-NAME"),
        (("images", "clasifier"), "choose one of orchestrator"),
    ],
)
def test_what_is_wrong_is_named(machine: Machine, arguments: tuple[str, ...], message: str) -> None:
    done = machine.run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_a_model_that_is_not_its_manifest_is_no_image(podman: Machine, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(RELEASED, model)
    with (model / "model.onnx").open("ab") as sink:
        sink.write(b"\0")
    done = podman.run("push", "classifier", "--registry", "127.0.0.1:1", "--model", model)
    assert done.exit_code == 2
    assert "SHA-256 differs from the manifest" in " ".join(done.stderr.replace("│", " ").split())
    assert not [call for call in podman.calls() if call[0] == "build"]
    done = podman.run("push", "fusion", "--registry", "127.0.0.1:1", "--model", model)
    assert "fusion has no model" in done.stderr
