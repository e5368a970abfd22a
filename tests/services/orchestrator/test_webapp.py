"""The app's files as they go over the wire."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from services.common.settings import Settings
from services.orchestrator.webapp import WebApp

CODE = b"start()\n" * 100


def fetched(folder: Path, path: str, **headers: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a GET."""
    app, sent = WebApp.found(Settings(app_dir=str(folder))), []
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
