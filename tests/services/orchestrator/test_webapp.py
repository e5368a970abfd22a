"""The app's files as they go over the wire."""

import asyncio
import gzip
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from services.common.settings import Settings
from services.orchestrator.webapp import NO_APP, SHIPPED, WebApp, add_app

CODE = b"start()\n" * 100


def fetched(folder: Path, path: str, **headers: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a GET."""
    app, sent = WebApp.load(Settings(app_dir=str(folder))), []
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": lines, "query_string": b""}

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(10)  # the caller stays
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    assert app is not None
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 200
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return answered, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture
def build(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "entry.js").write_bytes(CODE)
    (tmp_path / "entry.js.br").write_bytes(b"br")
    (tmp_path / "entry.js.gz").write_bytes(gzip.compress(CODE))
    return tmp_path


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, GZIP;q=0.5", "gzip"), ("br; q=0.0", ""), ("", "")],
)
def test_a_file_comes_in_the_smallest_form_the_browser_takes(build: Path, accepted: str, coding: str) -> None:
    headers, body = fetched(build, "/entry.js", accept_encoding=accepted)
    assert headers.get("content-encoding", "") == coding
    assert headers["content-type"].startswith("text/javascript")
    assert headers["vary"] == "Accept-Encoding"
    assert int(headers["content-length"]) == len(body)
    assert {"br": b"br", "": CODE}.get(coding, body) == body
    assert coding != "gzip" or gzip.decompress(body) == CODE


def test_a_file_without_a_compressed_one_comes_as_it_is(build: Path) -> None:
    headers, body = fetched(build, "/", accept_encoding="gzip, br")
    assert "content-encoding" not in headers
    assert body == b"<!doctype html>"


@pytest.fixture
def packed(build: Path) -> Path:
    """As in the repository: a script in gzip form only."""
    for name in ("entry.js", "entry.js.br"):
        (build / name).unlink()
    return build


@pytest.mark.parametrize(("accepted", "coding"), [("gzip, br", "gzip"), ("br", ""), ("", "")])
def test_a_script_in_gzip_form_only_reaches_every_client(packed: Path, accepted: str, coding: str) -> None:
    headers, body = fetched(packed, "/entry.js", accept_encoding=accepted)
    assert headers.get("content-encoding", "") == coding
    assert headers["content-type"].startswith("text/javascript")
    assert headers["content-security-policy"]
    assert int(headers["content-length"]) == len(body)
    assert (gzip.decompress(body) if coding else body) == CODE


def served(shipped: Path) -> TestClient:
    """An application with one route of its own, and the app or what stands in for it."""
    app = FastAPI()
    add_app(app, Settings(), shipped)
    return TestClient(app)


def test_a_script_in_gzip_form_only_is_not_modified_and_its_neighbours_are_not_found(packed: Path) -> None:
    (packed.parent / "secret.gz").write_bytes(gzip.compress(b"secret"))
    with served(packed) as client:
        etag = client.get("/entry.js").headers["etag"]
        assert client.get("/entry.js", headers={"if-none-match": etag}).status_code == 304
        assert client.get("/entry.js", headers={"if-none-match": etag, "accept-encoding": "identity"}).content == CODE
        assert client.get("/other.js").status_code == 404
        assert client.get("/..%2fsecret").text == "<!doctype html>"


def test_the_released_app_is_in_the_repository_and_its_page_finds_its_files() -> None:
    with served(SHIPPED) as client:
        page = client.get("/")
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert any(link.endswith(".js") for link in links)
        for link in links:
            assert link.startswith("/"), link
            assert client.get(link).status_code == 200, link
        assert "Melalog" in page.text
        assert client.get("/result").text == page.text


class Page(HTMLParser):
    """Elements and attributes of the page without the app."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(NO_APP.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def test_without_the_app_one_page_says_how_to_build_it(tmp_path: Path) -> None:
    with served(tmp_path) as client:
        page = client.get("/")
        assert client.get("/result").status_code == 404
        assert client.get("/page").status_code == 404
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "make frontend" in page.text
    assert page.text.index("not a medical device") < page.text.index("make frontend")


def test_the_page_without_the_app_needs_nothing_else() -> None:
    page = Page()
    assert page.open == []
    assert not {"script", "style", "link", "img", "form", "input"} & set(page.tags)
    assert not [name for name in page.attributes if name == "style" or name.startswith("on")]
    assert page.attributes["href"] == ["/docs", "/v1/questionnaire", "/problems"]
    assert len(NO_APP.read_text("utf-8").splitlines()) < 60
    assert not re.search(r"harmless|benign|no risk|all clear", NO_APP.read_text("utf-8"), re.IGNORECASE)
