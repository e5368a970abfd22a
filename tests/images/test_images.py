"""The built images run as a cluster runs them: unprivileged, their root read-only, and end when they are told to."""

import json
import time

import httpx2
import pytest
from packaging.utils import canonicalize_name

from cli.images import lock
from cli.images.targets import SERVICES, TARGETS
from cli.processes import ROOT
from models.classifier.serving import artifact as classifier
from models.vlm.serving import artifact as vlm
from tests.conftest import free_ports
from tests.images.conftest import GRACE_S, Containers, wait
from tests.pictures import encode, lesion

pytestmark = [pytest.mark.images, pytest.mark.timeout(600)]
INSIDE = """
import importlib.metadata as m, importlib.util as u, json, os, pathlib, shutil
status = dict(l.split(':\\t', 1) for l in pathlib.Path('/proc/self/status').read_text().splitlines() if ':\\t' in l)
def writable(folder):
    try:
        (pathlib.Path(folder) / 'x').write_text('x')
    except OSError:
        return False
    return True
print(json.dumps({
    'ids': [os.getuid(), os.getgid()],
    'capabilities': int(status['CapEff'], 16) | int(status['CapBnd'], 16),
    'writable': [f for f in ('/', '/opt/venv', '/home/bentoml', '/home/bentoml/bento') if writable(f)],
    'root': [l.split()[3].split(',')[0] for l in open('/proc/mounts') if l.split()[1] == '/'],
    'tools': [t for t in ('gcc', 'cc', 'make', 'git', 'pip', 'curl') if shutil.which(t)],
    'modules': [x for x in ('torch', 'pip', 'setuptools', 'openvino', 'onnxruntime') if u.find_spec(x)],
    'packages': {d.name: d.version for d in m.distributions(path=[p for p in __import__('sys').path if 'site-p' in p])},
}))
"""


def test_a_picture_is_assessed_by_all_four(system: Containers) -> None:
    answer = httpx2.post(
        f"{system.url}/v1/assessments",
        files={"image": ("spot.jpg", encode(lesion()))},
        data={"questionnaire": json.dumps({"age": 61, "fair_skin": "yes"})},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["degraded"] == []
    assert {body["findings"][name]["status"] for name in ("classifier", "vlm")} == {"ok"}
    found = httpx2.get(f"{system.url}/v1/models", timeout=10, trust_env=False).json()
    pictures, words = classifier.ClassifierArtifact.load(classifier.RELEASED), vlm.VlmArtifact.load(vlm.RELEASED)
    released = {"classifier": pictures.manifest.files[classifier.MODEL_FILE].sha256, "vlm": words.sha256}
    for name, digest in released.items():
        assert body["findings"][name]["model"]["sha256"] == found[name]["sha256"] == digest


def test_the_orchestrator_has_the_app(system: Containers) -> None:
    build = ROOT / "services" / "orchestrator" / "app" / "index.html"
    page = httpx2.get(f"{system.url}/", timeout=10, trust_env=False)
    assert page.text == build.read_text()
    assert "script-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_inside(system: Containers, name: str) -> None:
    inside = json.loads(system.python(system.ids[name], INSIDE))
    assert inside["ids"] == [10001, 10001]
    assert inside["capabilities"] == 0
    assert inside["writable"] == []
    assert set(inside["root"]) == {"ro"}
    assert inside["tools"] == []
    assert set(inside["modules"]) == {
        "classifier": {"openvino", "onnxruntime"}, "vlm": {"onnxruntime"}, "orchestrator": set(), "fusion": set(),
    }[name]  # fmt: skip
    listed = {
        canonicalize_name(package.name): package.version
        for package in lock.python_packages((ROOT / "requirements" / f"{name}.txt").read_text())
    }
    assert listed == {canonicalize_name(key): value for key, value in inside["packages"].items()}
    assert TARGETS[name].port


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_written_but_in_memory(system: Containers, name: str) -> None:
    # What the engine itself makes in a container, such as /etc/hosts, it makes for any command.
    idle = system.start(name, {}, "-c", "pass", options=("--entrypoint", "python"))
    assert set(system.run("diff", system.ids[name]).split("\n")) == set(system.run("diff", idle).split("\n"))
    said = system.run("logs", system.ids[name])
    assert "Traceback" not in said
    assert "elemetry" not in said, "something in it wants to report to its maker"


def test_an_undecided_orchestrator_does_not_answer(containers: Containers) -> None:
    """The image listens to all addresses: somebody must say whether anything guards it."""
    (port,) = free_ports(1)
    container = containers.start("orchestrator", {"BENTOML_PORT": str(port)})
    assert wait(f"http://127.0.0.1:{port}/readyz", 15) == float("inf")
    assert "MELALOG_AUTH=required" in containers.run("logs", container)
    containers.run("rm", "--force", container)


@pytest.mark.parametrize("name", SERVICES)
def test_it_ends_when_told(system: Containers, name: str) -> None:
    """Last: it ends what the others use."""
    start = time.monotonic()
    system.run("stop", "--time", str(GRACE_S), system.ids[name])
    assert time.monotonic() - start < GRACE_S
    assert system.state(system.ids[name])["ExitCode"] == 0
    assert "Traceback" not in system.run("logs", system.ids[name])
