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
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COLOURS = {"orchestrator": "green", "classifier": "cyan", "vlm": "magenta", "fusion": "yellow"}


class _Stopped(Exception):  # noqa: N818
    """Asked to end: Ctrl-C, SIGTERM, or the terminal was closed."""


def command(
    wait_s: Annotated[float, typer.Option(help="Seconds to wait for the services to get ready.")] = 600,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Canned answers without models, for front-end developers.")
    ] = False,
) -> None:
    """Start the four services here; Ctrl-C stops them all.

    Ports and addresses come from MELALOG_* settings (`melalog doctor --settings` prints them).
    """
    if sandbox:
        os.environ["MELALOG_SANDBOX"] = "true"  # the service reads its own settings
    settings = load()
    chosen = processes.services(settings)
    taken = [service for service in chosen if not is_free(service.host, service.port)]
    if taken:
        for service in taken:
            console.print(
                f"[red]port {service.port} ({service.name}) is taken[/]: stop what listens there, or set "
                f"MELALOG_{service.name.upper()}_BIND_PORT to a free port"
            )
        raise typer.Exit(1)
    for ending in ENDINGS:  # SIGINT too: a shell that starts this in the background makes it ignored
        signal.signal(ending, _on_signal)
    children: list[processes.Child] = []
    failed = False
    try:
        for service in chosen:
            children.append(processes.start(service, settings))  # noqa: PERF401  (if one fails, the others are stopped)
        for service, child in zip(chosen, children, strict=True):
            threading.Thread(target=processes.forward, args=(child.stdout, _prefix(service.name)), daemon=True).start()
        _wait_ready(chosen, children, wait_s)
        _welcome(settings)
        _watch(chosen, children)
        failed = True
    except TimeoutError as error:
        console.print(f"[red]{error}[/]")
        failed = True
    except _Stopped:
        console.print("\nstopping …")
    finally:
        for ending in ENDINGS:
            signal.signal(ending, signal.SIG_IGN)
        processes.stop(children)
    raise typer.Exit(1 if failed else 0)


def _welcome(settings: Settings) -> None:
    if settings.sandbox:
        console.print("\n[bold yellow]This is the sandbox[/]: no picture is looked at, every answer is canned.")
    url = settings.url(settings.orchestrator_bind_port)
    console.print(f"\n[bold green]Melalog is ready[/] at {url} (API: {url}/docs)")
    console.print("Try it in another shell:  .venv-serve/bin/melalog assess PICTURE.jpg\nCtrl-C stops it.\n")


def _on_signal(*_: Any) -> None:
    raise _Stopped


def _prefix(name: str) -> str:
    with console.capture() as captured:
        console.print(f"[{COLOURS[name]}]{name:>12} │[/]", end="")
    return captured.get()


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there; one that is only closing does not count as taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _wait_ready(
    chosen: tuple[processes.Service, ...],
    children: list[processes.Child],
    wait_s: float,
) -> None:
    """Return when every service answers /readyz. Raises TimeoutError naming those that do not."""
    waiting = {service.name: f"{service.url}/readyz" for service in chosen}
    started = reported = time.monotonic()
    while waiting:
        if (dead := _dead(chosen, children)) is not None:
            raise TimeoutError(f"{dead} ended before it was ready; its last lines are above")
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


def _dead(chosen: tuple[processes.Service, ...], children: list[processes.Child]) -> str | None:
    pairs = zip(chosen, children, strict=True)
    return next((service.name for service, child in pairs if child.poll() is not None), None)


def _watch(chosen: tuple[processes.Service, ...], children: list[processes.Child]) -> None:
    """Return when one of the services has ended."""
    while (dead := _dead(chosen, children)) is None:
        time.sleep(0.3)
    console.print(f"[red]{dead} has ended; stopping the others[/]")
