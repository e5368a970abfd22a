"""An OpenAI-compatible server on 127.0.0.1 that answers, or misbehaves, as the test says.

with OpenAIServer(http_error(503), text("…")) as server:   # first request, then every further one
    … server.base_url …
server.requests
"""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Behaviour = Callable[["Exchange"], None]


@dataclass(frozen=True)
class Request:
    """One request as it came; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Exchange(BaseHTTPRequestHandler):
    """One connection; `server` knows what to do."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.next_behaviour(Request(self.path, headers, json.loads(body)))(self)

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """A whole answer; `headers` win over the usual ones."""
        usual = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.send_response(status)
        for name, value in {**usual, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep; True when the server is being stopped."""
        return self.server.stopping.wait(seconds)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, behaviours: tuple[Behaviour, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.behaviours, self.requests = behaviours, list[Request]()
        self.stopping, self.lock = threading.Event(), threading.Lock()

    def next_behaviour(self, request: Request) -> Behaviour:
        with self.lock:
            self.requests.append(request)
            return self.behaviours[min(len(self.requests), len(self.behaviours)) - 1]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with contextlib.suppress(OSError):  # the client went away, as it should from most of these
            self.finish_request(request, client_address)
        self.shutdown_request(request)


class OpenAIServer:
    """Runs in a thread for as long as the `with` block lasts. The last behaviour is kept for all further requests."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._server = _Server(behaviours)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def requests(self) -> list[Request]:
        """All requests so far."""
        return self._server.requests

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def raw(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    """These bytes; `content_type="text/html"` and the like overrule headers."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return lambda exchange: exchange.send(status, body, named)


def answer(body: object, **headers: str) -> Behaviour:
    """200 with this as JSON (NaN and Infinity are written as Python does)."""
    return raw(json.dumps(body).encode(), 200, **headers)


def _choice(**choice: object) -> Behaviour:
    return answer({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


def verdict(top: Iterable[tuple[str, float]], **extra: object) -> Behaviour:
    """First-token logprobs, as vLLM gives them."""
    listed = [{"token": token, "logprob": logprob, "bytes": list(token.encode())} for token, logprob in top]
    first = {**(listed[0] if listed else {"token": "", "logprob": 0.0}), "top_logprobs": listed}
    message = {"role": "assistant", "content": first["token"]}
    return _choice(index=0, message=message, finish_reason="length", logprobs={"content": [first]}, **extra)


def text(content: object, finish_reason: str = "stop", **message: object) -> Behaviour:
    """A written answer; extra words go into the message (`refusal="…"`)."""
    return _choice(index=0, message={"role": "assistant", "content": content, **message}, finish_reason=finish_reason)


def http_error(status: int, body: object = None, **headers: str) -> Behaviour:
    """An error as OpenAI-compatible servers write it, with text that must go nowhere."""
    told = body or {"error": {"message": f"SECRET UPSTREAM TEXT {status}", "type": "error", "code": status}}
    return raw(json.dumps(told).encode(), status, **headers)


def hang_up(exchange: Exchange) -> None:
    """Close the connection without a word."""
    exchange.close_connection = True


def reset_mid_body(exchange: Exchange) -> None:
    """Announce a body, send some, then RST."""
    exchange.send(200, b'{"choices": [', {"Content-Length": "1000"})
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.connection.close()
    exchange.close_connection = True


def cut_mid_body(exchange: Exchange) -> None:
    """Announce a body, send some, then close properly."""
    exchange.send(200, b'{"choices": [', {"Content-Length": "1000"})
    exchange.close_connection = True


def endless(unit: bytes = b"x" * 65536, status: int = 200) -> Behaviour:
    """A body that is sent as fast as it is taken and never ends."""

    def behave(exchange: Exchange) -> None:
        exchange.send(status, unit, {"Content-Length": str(10**15)})
        while not exchange.wait(0):
            exchange.wfile.write(unit)

    return behave


def drip(body: bytes = b" " * 1000, every_s: float = 1.0) -> Behaviour:
    """One byte of the body at a time."""

    def behave(exchange: Exchange) -> None:
        exchange.send(200, b"", {"Content-Length": str(len(body))})
        for byte in body:
            exchange.wfile.write(bytes([byte]))
            if exchange.wait(every_s):
                return

    return behave


def slow_headers(exchange: Exchange) -> None:
    """A status line, then one more header every second."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not exchange.wait(1.0):
        exchange.wfile.write(b"X-Still: coming\r\n")


def silent(exchange: Exchange) -> None:
    """Take the request and never answer."""
    exchange.wait()
    exchange.close_connection = True


def after(seconds: float, then: Behaviour) -> Behaviour:
    """`then`, later."""
    return lambda exchange: None if exchange.wait(seconds) else then(exchange)
