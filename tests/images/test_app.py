"""The app's own image: its nginx answers as the orchestrator does for the same build. Needs nginx and node."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cli.processes import ROOT
from services.common.settings import Settings
from services.orchestrator.webapp import WebApp
from tests.conftest import free_ports
from tests.images.conftest import wait

NGINX, NODE = shutil.which("nginx"), shutil.which("node")
pytestmark = pytest.mark.skipif(not (NGINX and NODE), reason="nginx and node are not both installed")
API = "https://api.example"
PAGE = '<html><script>let a = "1";</script><script src="/_expo/entry-0123456789abcdef.js" defer></script></html>'
PATHS = [
    "/", "/index.html", "/result", "/result/", "/result/2", "/_expo/entry-0123456789abcdef.js", "/icon.png",
    "/nothing.js",
    "/assets/x.808e1b1b9b53114ec2838071a7e6daa7.png",
    "/assets/x.808e1b1b9b53114ec2838071a7e6daa7@2x.png",
]  # fmt: skip
SAME = (
    "content-security-policy", "cache-control", "x-content-type-options", "referrer-policy", "permissions-policy",
)  # fmt: skip


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A web build's shape: a page, the same under one address, files with and without a digest in their name."""
    folder = tmp_path_factory.mktemp("app") / "dist"
    for path in ("index.html", "result/index.html"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(PAGE)
    for path in PATHS:
        if "." in path and path not in ("/index.html", "/nothing.js"):
            (folder / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (folder / path[1:]).write_text("x")
    return folder


@pytest.fixture(scope="module")
def nginx(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("nginx")
    source, written = ROOT / "frontend" / "nginx", folder / "nginx.conf"
    subprocess.run([str(NODE), source / "write.mjs", build, source / "nginx.conf", written, f"{API}/x,"], check=True)
    (port,) = free_ports(1)
    moved = written.read_text().replace("/tmp/", f"{folder}/").replace("/srv/app", str(build))  # noqa: S108
    written.write_text(moved.replace("listen 8080", f"listen 127.0.0.1:{port}"))
    command = [str(NGINX), "-c", str(written), "-g", f"daemon off; {'user root;' if folder.owner() == 'root' else ''}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        if wait(f"http://127.0.0.1:{port}/healthy", 10) > 10:
            server.terminate()
            pytest.fail(server.communicate()[1])
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
        server.terminate()


@pytest.fixture(scope="module")
def ours(build: Path) -> Iterator[TestClient]:
    found = WebApp.load(Settings(app_dir=str(build), app_origins=(API,)))
    assert found is not None
    app = Starlette()
    app.mount("/", found)
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
def test_it_answers_as_the_orchestrator(nginx: httpx2.Client, ours: TestClient, path: str) -> None:
    there, here = nginx.get(path), ours.get(path)
    assert there.status_code == here.status_code
    if here.is_success:
        assert there.text == here.text
        assert {name: there.headers[name] for name in SAME} == {name: here.headers[name] for name in SAME}
        assert there.headers["content-type"].split(";")[0].removeprefix("application/x-") in (
            here.headers["content-type"].split(";")[0], "text/javascript", "application/javascript"
        )  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/assessments", "/v1", "/docs", "/metrics", "/readyz", "/problems/x"])
def test_the_api_s_paths_are_no_page(nginx: httpx2.Client, path: str) -> None:
    assert nginx.get(path).status_code == 404


def test_the_policy_names_the_api_and_the_inline_script(nginx: httpx2.Client) -> None:
    policy = nginx.get("/").headers["content-security-policy"]
    assert f"connect-src 'self' blob: data: {API};" in policy
    assert "script-src 'self' 'wasm-unsafe-eval' 'sha256-" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
