"""One of our services, as a real HTTP server that can be as bad as a real one: dead, frozen, slow, garbled."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    """Keeps its open connections, so that they can be cut."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    node: "FakeNode"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note the connection."""
        self.node.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that has gone is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one packet: in two, each answer would wait 40 ms for a delayed ACK

    def do_POST(self) -> None:
        """Read the request whole, then behave."""
        node = self.server.node  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("content-length", 0)))
        node.requests.append(dict(self.headers))
        node.behave(self)

    def do_GET(self) -> None:
        """The readiness probe is as well or as ill as the rest."""
        self.server.node.behave(self)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class FakeNode:
    """Listens on a port of 127.0.0.1; `behave` is changed at will, `die` and `revive` close and open the port."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.requests: list[dict[str, str]] = []
        self.behave: Behaviour = self.healthy
        self.port = 0
        self.connections: list[socket.socket] = []
        self.revive()

    def revive(self) -> None:
        """Listen (again, on the same port)."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.node = self
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def die(self) -> None:
        """Close the port and every connection."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    def healthy(self, handler: BaseHTTPRequestHandler) -> None:
        """The answer this node should give."""
        self.say(handler, 200, json.dumps(self.answer).encode())

    @staticmethod
    def say(handler: BaseHTTPRequestHandler, status: int, body: bytes, content_type: str = "application/json") -> None:
        """Send a whole answer."""
        handler.send_response(status)
        handler.send_header("content-type", content_type)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def frozen(_: BaseHTTPRequestHandler) -> None:
    """Take the request and never answer."""
    time.sleep(30)


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    """Close without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def drips(handler: BaseHTTPRequestHandler) -> None:
    """A byte every now and then, for ever."""
    handler.send_response(200)
    handler.send_header("content-length", "100000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.3)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """An answer without an end."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(5000):
        handler.wfile.write(b" " * 65536)


def says(status: int, body: bytes, content_type: str = "application/json") -> Behaviour:
    """Always this answer."""
    return lambda handler: FakeNode.say(handler, status, body, content_type)
