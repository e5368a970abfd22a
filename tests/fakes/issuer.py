"""An OIDC provider as far as we need one: a real HTTP server with its public keys, and tokens."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

AUDIENCE = "melalog-app"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = self.server.issuer  # type: ignore[attr-defined]
        issuer.asked += 1
        time.sleep(issuer.delay_s)
        body = issuer.document()
        self.send_response(issuer.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    issuer: "Issuer"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that does not wait is what some tests are about."""


class Issuer:
    """Listens on 127.0.0.1. `keys` are published; `rotate` replaces them; `body`, `status`, `delay_s` make it ill."""

    def __init__(self) -> None:
        self.asked, self.status, self.delay_s = 0, 200, 0.0
        self.body: bytes | None = None
        self.keys: list[Key] = []
        self.rotate()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.issuer = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def rotate(self) -> None:
        """New keys, one of each kind."""
        self.keys = [
            RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True),
            ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True),
        ]

    def document(self) -> bytes:
        """The key set as published."""
        published = [key.as_dict(private=False) for key in self.keys]
        return json.dumps({"keys": published}).encode() if self.body is None else self.body

    @property
    def url(self) -> str:
        """The issuer's name."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def jwks_url(self) -> str:
        """Where its keys are."""
        return f"{self.url}/keys"

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Good ones, but for what is changed; None takes a claim away."""
        now = int(time.time())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "CANARYPERSON", "iat": now, "exp": now + 300}
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, key: Key | None = None, head: dict[str, Any] | None = None, **changed: Any) -> str:
        """Signed with a published key unless another is given."""
        key = key or self.keys[0]
        algorithm = {"RSA": "RS256", "EC": "ES256"}.get(key.key_type, "HS256")
        header = {"alg": algorithm, "kid": key.kid} | (head or {})
        return jwt.encode(header, self.claims(**changed), key, algorithms=[header["alg"]])

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
