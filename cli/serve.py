"""`melalog serve`: the four services on this machine, until Ctrl-C."""

import os
import signal
import socket
import threading
import time
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console

from cli import processes
from services.common.settings import Settings, load

console = Console(highlight=False, soft_wrap=True)
REPORT_EVERY_S = 15.0
"""While services start: a slow machine takes minutes, and silence looks like a hang."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COLOURS = {"orchestrator": "green", "classifier": "cyan", "vlm": "magenta", "fusion": "yellow"}


class _Stopped(Exception):  # noqa: N818
    """Ctrl-C, SIGTERM, or the terminal was closed."""


def command(
    wait_s: Annotated[float, typer.Option(help="Seconds to wait until all services are ready.")] = 600,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Serve canned answers without models, for front-end developers.")
    ] = False,
) -> None:
    """Start the four services here; Ctrl-C stops them all.

    Ports and addresses come from MELALOG_* settings (`melalog doctor --settings` prints them).
    """
    if sandbox:
        os.environ["MELALOG_SANDBOX"] = "true"  # the service processes read the environment
    settings = load()
    selected = processes.services(settings)
    in_use = [service for service in selected if not is_free(service.host, service.port)]
    if in_use:
        for service in in_use:
            console.print(
                f"[red]port {service.port} ({service.name}) is in use[/]: stop the program that uses it, or set "
                f"MELALOG_{service.name.upper()}_BIND_PORT to a free port"
            )
        raise typer.Exit(1)
    for stop_signal in STOP_SIGNALS:  # SIGINT too: a shell ignores it for programs in the background
        signal.signal(stop_signal, _on_signal)
    children: list[processes.Child] = []
    failed = False
    try:
        for service in selected:
            children.append(processes.start(service, settings))  # noqa: PERF401  (if one fails, the others are stopped)
        for service, child in zip(selected, children, strict=True):
            threading.Thread(target=processes.forward, args=(child.stdout, _prefix(service.name)), daemon=True).start()
        _wait_ready(selected, children, wait_s)
        _welcome(settings)
        _watch(selected, children)
        failed = True
    except TimeoutError as error:
        console.print(f"[red]{error}[/]")
        failed = True
    except _Stopped:
        console.print("\nstopping …")
    finally:
        for stop_signal in STOP_SIGNALS:
            signal.signal(stop_signal, signal.SIG_IGN)
        processes.stop(children)
    raise typer.Exit(1 if failed else 0)


def _welcome(settings: Settings) -> None:
    if settings.sandbox:
        console.print("\n[bold yellow]This is the sandbox[/]: no image is assessed, every answer is canned.")
    url = settings.url(settings.orchestrator_bind_port)
    console.print(f"\n[bold green]Melalog is ready[/] at {url} (API: {url}/docs)")
    console.print("Try it in another shell:  .venv-serve/bin/melalog assess IMAGE.jpg\nCtrl-C stops it.\n")


def _on_signal(*_: Any) -> None:
    raise _Stopped


def _prefix(name: str) -> str:
    with console.capture() as captured:
        console.print(f"[{COLOURS[name]}]{name:>12} │[/]", end="")
    return captured.get()


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there; a port in TIME_WAIT counts as free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _wait_ready(
    selected: tuple[processes.Service, ...],
    children: list[processes.Child],
    wait_s: float,
) -> None:
    """Return when every service answers /readyz. Raises TimeoutError naming those that do not."""
    waiting = {service.name: f"{service.url}/readyz" for service in selected}
    started = reported = time.monotonic()
    while waiting:
        if (ended := _first_ended(selected, children)) is not None:
            raise TimeoutError(f"{ended} ended before it was ready; its last lines are above")
        now = time.monotonic()
        if now - started > wait_s:
            raise TimeoutError(f"not ready after {wait_s:.0f} s: {', '.join(waiting)}; its last lines are above")
        if now - reported > REPORT_EVERY_S:
            reported = now
            console.print(f"after {now - started:.0f} s still starting: {', '.join(waiting)}")
        for name, url in list(waiting.items()):
            try:
                if httpx2.get(url, timeout=1, trust_env=False).status_code == httpx2.codes.OK:
                    del waiting[name]
            except httpx2.HTTPError:
                continue
        time.sleep(0.2)


def _first_ended(selected: tuple[processes.Service, ...], children: list[processes.Child]) -> str | None:
    pairs = zip(selected, children, strict=True)
    return next((service.name for service, child in pairs if child.poll() is not None), None)


def _watch(selected: tuple[processes.Service, ...], children: list[processes.Child]) -> None:
    """Return when one of the services has ended."""
    while (ended := _first_ended(selected, children)) is None:
        time.sleep(0.3)
    console.print(f"[red]{ended} has ended; stopping the others[/]")
