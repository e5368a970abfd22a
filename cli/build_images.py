"""`melalog images`: build images here, push nothing."""

import time
from typing import Annotated

import typer
from rich.console import Console

from cli import user_errors
from cli.images import container_engine, progress, targets
from cli.images.making import BASE, prepared

console = Console(highlight=False, soft_wrap=True)


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Of orchestrator, classifier, vlm, fusion (all four when none is named), classifier-gpu, engine, app,"
            " train."
        ),
    ] = None,
    base: Annotated[str, typer.Option(help="Image they are built on: Python 3.11, Debian or alike.")] = BASE,
) -> None:
    """Build bentos and images with the container engine that is found, as `melalog-NAME:dev`.

    Then `docker compose up`, or `melalog push`.
    """
    with user_errors.as_usage_errors():
        wanted = [targets.named(name) for name in names or targets.SERVICES]
        found = container_engine.find()
        for target in wanted:
            start = time.monotonic()
            with progress.shown(console, f"building {target.image}:dev") as told, prepared(target, None, base) as made:
                found.build(made.folder, [made.local], made.arguments, told)
                console.print(
                    f"{made.local}  {found.size(made.local) / 1e6:.0f} MB unpacked, content {made.tag}, "
                    f"built by {found.name} in {time.monotonic() - start:.0f} s"
                )
        if {target.name for target in wanted} >= set(targets.SERVICES):
            composed = {"docker": "docker compose", "podman": "podman-compose"}.get(found.name, "docker compose")
            console.print(f"start them: {composed} up --detach; put one into a registry: melalog push NAME")
