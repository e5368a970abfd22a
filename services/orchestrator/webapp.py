"""The app's web build, at `/` and at every path that is not the API's: a single page that routes its own paths."""

import base64
import gzip
import hashlib
import mimetypes
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

from services.common.settings import Settings

SHIPPED = Path(__file__).parent / "app"
"""The build in the repository; docs/decisions/0007-the-app-in-the-repository.md."""
NO_APP = Path(__file__).with_name("no_app.html")
NO_APP_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
API = ("v1", "docs", "healthz", "livez", "readyz", "metrics", "openapi.json", "static-offline-docs", "problems")
"""First path segments that are never the app's: a mistyped API path must stay a 404."""
HASHED = re.compile(r"[.-][0-9a-f]{16,}\.")
"""The bundler puts a file's digest in its name: such a file never changes."""
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)

CODINGS = {"br": ".br", "gzip": ".gz"}
"""Endings of compressed files by content coding, the smallest first. A script may exist in compressed form only."""
REFUSED = re.compile(r";\s*q=0(\.0*)?\s*$")

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class WebApp(StaticFiles):
    """The build's files; index.html for every other path that a person could have typed or shared."""

    def __init__(self, folder: Path, policy: str) -> None:
        super().__init__(directory=folder, follow_symlink=False)
        self._index, self._policy = folder / "index.html", policy

    @classmethod
    def load(cls, settings: Settings, shipped: Path = SHIPPED) -> "WebApp | None":
        """The build at MELALOG_APP_DIR, else the shipped one, else None.

        Raises: SystemExit when MELALOG_APP_DIR holds no build.
        """
        folder = Path(settings.app_dir) if settings.app_dir else shipped
        index = folder / "index.html"
        if index.is_file():
            return cls(folder, _policy(index.read_text(encoding="utf-8"), settings))
        if settings.app_dir:
            raise SystemExit(f"MELALOG_APP_DIR: there is no {index}")
        return None

    def before(self, otherwise: Asgi) -> Asgi:
        """For Router.default: a GET that no route takes is the app's, except on the API's own paths."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            first = scope["path"].lstrip("/").partition("/")[0]
            ours = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and first not in API
            await (self if ours else otherwise)(scope, receive, send)

        return serve

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or index.html for a path without a file ending. Raises: HTTPException (404)."""
        if path in (".", "index.html"):
            return self._page(scope)
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            last = PurePosixPath(path).name
            if error.status_code != 404 or "." in last:  # noqa: PLR2004
                raise
            return self._page(scope)

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Also finds a file that exists in gzip form only; the path returned is without `.gz`."""
        full_path, stat = super().lookup_path(path)
        if stat is None and full_path == "":
            packed, stat = super().lookup_path(path + CODINGS["gzip"])
            full_path = packed.removesuffix(CODINGS["gzip"])
        return full_path, stat

    def _page(self, scope: Scope) -> Response:
        return self.file_response(self._index, self._index.stat(), scope)

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        """As in Starlette, with content coding, caching and security headers."""
        path, coding = _coded(Path(full_path), Headers(scope=scope).get("accept-encoding", ""))
        media_type = mimetypes.guess_type(full_path)[0]
        answer: Response
        if path.is_file():
            stat = path.stat() if coding else stat_result
            answer = FileResponse(path, status_code=status_code, stat_result=stat, media_type=media_type)
        else:  # a client that takes no gzip: not a browser
            plain = gzip.decompress(path.with_name(path.name + CODINGS["gzip"]).read_bytes())
            answer = Response(plain, status_code=status_code, media_type=media_type)
        answer.headers["Vary"] = "Accept-Encoding"
        if coding:
            answer.headers["Content-Encoding"] = coding
        lasting = HASHED.search(Path(full_path).name)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Content-Security-Policy"] = self._policy
        answer.headers["Permissions-Policy"] = "camera=(self), geolocation=(), microphone=()"
        if "etag" in answer.headers and self.is_not_modified(answer.headers, Headers(scope=scope)):
            return NotModifiedResponse(answer.headers)
        return answer


def add_app(app: FastAPI, settings: Settings, shipped: Path = SHIPPED) -> None:
    """Serve the app's build, or in a checkout without it one static page that says how to make it."""
    web = WebApp.load(settings, shipped)
    if web is not None:
        app.router.default = web.before(app.router.default)
        return

    @app.get("/", include_in_schema=False)
    async def no_app() -> FileResponse:
        return FileResponse(NO_APP, headers=NO_APP_HEADERS)


def _coded(path: Path, accepted: str) -> tuple[Path, str]:
    """The compressed file and its content coding, if the client accepts one; else the plain file and ""."""
    taken = {part.partition(";")[0].strip().lower() for part in accepted.split(",") if not REFUSED.search(part)}
    for coding, ending in CODINGS.items():
        beside = path.with_name(path.name + ending)
        if coding in taken and beside.is_file():
            return beside, coding
    return path, ""


def _policy(index: str, settings: Settings) -> str:
    """Content-Security-Policy of this build: its own files, its own inline scripts, this API and the issuer.

    react-native-web writes style elements at run time, and HEIC decoders are WebAssembly.
    """
    issuer = urlsplit(settings.oidc_issuer)
    origins = [f"{issuer.scheme}://{issuer.netloc}"] if issuer.netloc else []
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in INLINE_SCRIPT.findall(index)
    ]
    scripts = " ".join(["'self'", "'wasm-unsafe-eval'", *(f"'sha256-{digest}'" for digest in digests)])
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' blob: data:",
            "media-src 'self' blob:",
            "worker-src 'self' blob:",
            "font-src 'self' data:",
            " ".join(["connect-src 'self' blob: data:", *origins, *settings.app_origins]),
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
