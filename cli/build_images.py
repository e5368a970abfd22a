"""`melalog images`: build the images on this machine."""

import time
from typing import Annotated

import typer
from rich.console import Console

from cli import user_errors
from cli.images import container_engine, progress, targets
from cli.images.prepare import BASE, prepared

console = Console(highlight=False, soft_wrap=True)


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Which images: orchestrator, classifier, vlm, fusion (these four by default),"
            " classifier-gpu, engine, app, train."
        ),
    ] = None,
    base: Annotated[str, typer.Option(help="Base image: Python 3.11 on Debian or similar.")] = BASE,
) -> None:
    """Build images as `melalog-NAME:dev` with docker, podman or buildah; nothing is pushed.

    Start them with `docker compose up`, or put one into a registry with `melalog push`.
    """
    with user_errors.as_usage_errors():
        selected = [targets.find(name) for name in names or targets.SERVICES]
        engine = container_engine.find()
        for target in selected:
            start = time.monotonic()
            title = f"building {target.image}:dev"
            with progress.step(console, title) as on_line, prepared(target, None, base) as build:
                engine.build(build.folder, [build.local], build.arguments, on_line)
                console.print(
                    f"{build.local}  {engine.size(build.local) / 1e6:.0f} MB unpacked, content {build.tag}, "
                    f"built by {engine.name} in {time.monotonic() - start:.0f} s"
                )
        if {target.name for target in selected} >= set(targets.SERVICES):
            compose = {"docker": "docker compose", "podman": "podman-compose"}.get(engine.name, "docker compose")
            console.print(f"start them: {compose} up --detach; push one to a registry: melalog push NAME")
