"""A Kubernetes Service, as kube-proxy makes it: a new connection goes to one of the endpoints, an open one stays."""

import contextlib
import itertools
import socket
import threading


class Balancer:
    """Forwards bytes from its own port to `endpoints`, ports of 127.0.0.1 that are changed at will."""

    def __init__(self, *endpoints: int) -> None:
        self.endpoints = list(endpoints)
        self._turn = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                outside, _ = self._listener.accept()
            except OSError:
                return
            endpoints = tuple(self.endpoints)
            try:
                inside = socket.create_connection(("127.0.0.1", endpoints[next(self._turn) % len(endpoints)]))
            except OSError:
                outside.close()  # nobody listens there any more: the caller sees a broken connection
                continue
            threading.Thread(target=_join, args=(outside, inside), daemon=True).start()


def _join(outside: socket.socket, inside: socket.socket) -> None:
    """Pass bytes both ways until both sides have ended."""
    with outside, inside:
        for one in (outside, inside):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pipe, args=(inside, outside), daemon=True)
        back.start()
        _pipe(outside, inside)
        back.join()


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    """Until this side ends; the end is passed on, so that keep-alive and half-close work as without us."""
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
