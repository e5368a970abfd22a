"""The app's web build, at `/` and wherever no API is: a single page that knows its own paths."""

import base64
import hashlib
import mimetypes
import re
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

from services.common.settings import Settings

SHIPPED = Path(__file__).parent / "app"
API = ("v1", "docs", "healthz", "livez", "readyz", "metrics", "openapi.json", "static-offline-docs", "page", "problems")
"""First path segments that are never the app's: a mistyped API path must stay a 404."""
HASHED = re.compile(r"[.-][0-9a-f]{16,}\.")
"""The bundler puts a file's digest in its name: such a file never changes."""
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)

CODINGS = {"br": ".br", "gzip": ".gz"}
"""What the build keeps beside a file, by content coding, the smallest first."""
REFUSED = re.compile(r";\s*q=0(\.0*)?\s*$")

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class WebApp(StaticFiles):
    """Files as they are; index.html for every other path that a person could have typed or shared."""

    def __init__(self, folder: Path, policy: str) -> None:
        super().__init__(directory=folder, follow_symlink=False)
        self._index, self._policy = folder / "index.html", policy

    @classmethod
    def found(cls, settings: Settings) -> "WebApp | None":
        """The build that is set, else the shipped one, else none. Ends the process when the set one is no build."""
        folder = Path(settings.app_dir) if settings.app_dir else SHIPPED
        index = folder / "index.html"
        if index.is_file():
            return cls(folder, _policy(index.read_text(encoding="utf-8"), settings))
        if settings.app_dir:
            raise SystemExit(f"MELALOG_APP_DIR: there is no {index}")
        return None

    def before(self, otherwise: Asgi) -> Asgi:
        """For Router.default: what no route takes is the app's, but for the API's own paths and other methods."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            first = scope["path"].lstrip("/").partition("/")[0]
            ours = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and first not in API
            await (self if ours else otherwise)(scope, receive, send)

        return serve

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or the page for a path without a file's ending. Raises HTTPException (404)."""
        if path in (".", "index.html"):
            return self._page(scope)
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            last = PurePosixPath(path).name
            if error.status_code != 404 or "." in last:  # noqa: PLR2004
                raise
            return self._page(scope)

    def _page(self, scope: Scope) -> Response:
        return self.file_response(self._index, self._index.stat(), scope)

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        """As Starlette's, with our headers."""
        path, coding = _coded(Path(full_path), Headers(scope=scope).get("accept-encoding", ""))
        stat = path.stat() if coding else stat_result
        kind = mimetypes.guess_type(full_path)[0]
        answer = FileResponse(path, status_code=status_code, stat_result=stat, media_type=kind)
        answer.headers["Vary"] = "Accept-Encoding"
        if coding:
            answer.headers["Content-Encoding"] = coding
        lasting = HASHED.search(Path(full_path).name)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Content-Security-Policy"] = self._policy
        answer.headers["Permissions-Policy"] = "camera=(self), geolocation=(), microphone=()"
        if self.is_not_modified(answer.headers, Headers(scope=scope)):
            return NotModifiedResponse(answer.headers)
        return answer


def _coded(path: Path, accepted: str) -> tuple[Path, str]:
    """The file as compressed by the build and its coding, where the caller takes one; else the file itself."""
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
