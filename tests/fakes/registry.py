"""A registry for tests without Debian's docker-registry: the upload half of the OCI protocol, and GET."""

import hashlib
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NAME = r"/v2/(?P<name>[a-z0-9/_.-]+)"


class Handler(BaseHTTPRequestHandler):
    """Blobs by digest; manifests by digest and tag. A blob that is not what its digest says is refused."""

    protocol_version = "HTTP/1.1"
    blobs: dict[str, bytes]
    manifests: dict[str, tuple[str, bytes]]

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self) -> None:
        self._body()
        if found := re.fullmatch(NAME + "/blobs/uploads/", self.path):
            return self._answer(202, Location=f"/v2/{found['name']}/blobs/uploads/{uuid.uuid4()}")
        return self._answer(404)

    def do_PUT(self) -> None:
        body, url = self._body(), urlsplit(self.path)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if re.fullmatch(NAME + r"/blobs/uploads/[\w-]+", url.path):
            if parse_qs(url.query).get("digest") != [digest]:
                return self._answer(400, b"DIGEST_INVALID")
            self.blobs[digest] = body
            return self._answer(201, Docker_Content_Digest=digest)
        if found := re.fullmatch(NAME + r"/manifests/(?P<tag>[\w.:-]+)", url.path):
            for reference in (digest, found["tag"]):
                self.manifests[f"{found['name']} {reference}"] = (self.headers["Content-Type"], body)
            return self._answer(201, Docker_Content_Digest=digest)
        return self._answer(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if found := re.fullmatch(NAME + r"/manifests/(?P<tag>[\w.:-]+)", self.path):
            kind, body = self.manifests.get(f"{found['name']} {found['tag']}", ("", b""))
            return self._answer(200 if body else 404, body, Content_Type=kind)
        if (found := re.fullmatch(NAME + r"/blobs/(?P<digest>sha256:\w+)", self.path)) and found[
            "digest"
        ] in self.blobs:
            return self._answer(200, self.blobs[found["digest"]])
        return self._answer(200 if self.path == "/v2/" else 404)


@contextmanager
def serving() -> Iterator[int]:
    """Its port on this machine, while the block lasts."""
    handler = type("OneRegistry", (Handler,), {"blobs": {}, "manifests": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
