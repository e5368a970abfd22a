"""`melalog push`: build a service with its model, push it to a registry, write its digest into an overlay."""

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli import user_errors
from cli.images import container_engine, overlay, progress, sbom, signing, targets
from cli.images.image_error import ImageError
from cli.images.prepare import BASE, Prepared, prepared
from cli.images.registry import Registry, require_digest
from cli.processes import ROOT

console = Console(highlight=False, soft_wrap=True)
SBOMS = Path("build") / "sbom"
ENTRY = re.compile(r"melalog-[a-z0-9]+(-[a-z0-9]+)*")


def command(
    service: Annotated[
        str,
        typer.Argument(
            help="Which image: orchestrator, classifier, vlm, fusion, classifier-gpu, engine, app or train."
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(help="Folder of a released model. Default: the one in models/released.")
    ] = None,
    registry: Annotated[
        str,
        typer.Option(
            envvar="MELALOG_REGISTRY", help=r"Registry as host[:port]\[/path], with http:// before one without TLS."
        ),
    ] = "",
    into: Annotated[
        str,
        typer.Option(
            "--overlay",
            help="Overlay to write the digest into: a name in k8s/overlays, such as production, or a folder's path.",
        ),
    ] = "",
    entry: Annotated[
        str,
        typer.Option(
            "--as", help="The image's name in the overlay, where two versions run: melalog-classifier-canary."
        ),
    ] = "",
    digest: Annotated[
        str, typer.Option(help="Build nothing: write this digest, pushed before, into the overlay.")
    ] = "",
    base: Annotated[str, typer.Option(help="Base image: Python 3.11 on Debian or similar.")] = BASE,
    key: Annotated[
        str, typer.Option(envvar="COSIGN_KEY", help="Sign with this cosign key: a file or a KMS address.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build the bento, print what would be done, push nothing.")
    ] = False,
) -> None:
    """Build an image, push it under a tag made from its content, and write its digest into an overlay.

    Nothing is applied to a cluster: it prints the command that rolls the image out and the one that rolls it back.
    """
    with user_errors.as_usage_errors():
        target = targets.find(service)
        at = Registry.parse(registry)
        file = overlay.find(ROOT, into) if into else None
        if entry and (file is None or not ENTRY.fullmatch(entry)):
            raise ValueError(
                f"--as {entry} names an image in an overlay: use it with --overlay, and a name such as melalog-NAME"
            )
        if digest:
            if model is not None or file is None:
                raise ValueError("--digest builds nothing: use it with --overlay and without --model")
            pushed = require_digest(digest)
            _check_pushed(at, target.image, pushed)
        else:
            engine = None if dry_run else container_engine.find()
            with prepared(target, model, base) as build:
                pushed = _push(build, engine, at, key) if engine else _plan(build, at)
        _record(target, at, file, pushed, entry=entry, dry_run=dry_run)


def _push(build: Prepared, engine: container_engine.Engine, at: Registry, key: str) -> str:
    """Build, push, write the SBOM, sign; returns the digest in the registry."""
    repository = at.repository(build.target.image)
    tagged = f"{repository}:{build.tag}"
    with progress.step(console, f"building {tagged}") as on_line:
        engine.build(build.folder, [tagged, build.local], build.arguments, on_line)
    size = engine.size(tagged)
    with progress.step(console, f"pushing to {at.name}") as on_line:
        pushed = engine.push(tagged, plain_http=at.plain_http, on_line=on_line)
    reference = f"{repository}@{pushed}"
    console.print(f"pushed     {tagged}  ({size / 1e6:.0f} MB unpacked)\n           {reference}")
    contents = ROOT / SBOMS / f"{build.target.image}-{build.tag}.cdx.json"
    source = sbom.write(build.target, build.folder, reference, at, contents)
    console.print(f"contents   {contents} (from {source})")
    console.print(f"signature  {signing.sign(reference, key, contents, at)}", markup=False)
    return pushed


def _check_pushed(at: Registry, image: str, digest: str) -> None:
    """Raises ImageError when the registry has no such image; a mistyped digest would else fail only on the cluster."""
    exists = at.has(image, digest)
    if exists is False:
        raise ImageError(f"{at.repository(image)} has no {digest}; nothing was changed")
    if exists is None:
        console.print(f"unchecked  {at.name} could not be asked whether it has {digest}", markup=False)


def _plan(build: Prepared, at: Registry) -> str:
    """Print the commands of a run without --dry-run; returns no digest, since the push makes it."""
    tagged = f"{at.repository(build.target.image)}:{build.tag}"
    try:
        engine = container_engine.find()
    except ImageError as error:
        console.print(str(error), markup=False)
        engine = container_engine.Engine("podman")
    build_command = engine.build_command(Path("CONTEXT"), [tagged, build.local], build.arguments)
    push_command = engine.push_command(tagged, Path("DIGEST"), plain_http=at.plain_http)
    console.print(f"would run  {shlex.join(build_command)}\n           {shlex.join(push_command)}", markup=False)
    return ""


def _record(target: targets.Target, at: Registry, file: Path | None, pushed: str, *, entry: str, dry_run: bool) -> None:
    """Write the overlay; print how to roll out and how to roll back."""
    repository, image = at.repository(target.image), entry or target.image
    if file is None:
        shown = pushed or "sha256:…"
        console.print(f"overlay    none given; by hand: kustomize edit set image {image}={repository}@{shown}")
        return
    before, where = overlay.current(file, image), file.parent
    if dry_run:
        console.print(f"would set  {image} in {file} to {repository}@{pushed or 'the digest pushed'}")
    else:
        overlay.set_image(file, image, overlay.Entry(repository, pushed))
        console.print(f"written    {image} in {file}")
    apply = f"kubectl apply -k {where}"
    deployment = entry.removeprefix("melalog-") or target.deployment
    cluster = f"kubectl -n {overlay.namespace(file)} rollout"
    undo = ""  # a Job keeps the image it was created with
    if deployment:
        apply += f" && {cluster} status deployment/{deployment}"
        undo = f"{cluster} undo deployment/{deployment} && "
    console.print(f"roll out   {apply}")
    if before is None:
        console.print(f"roll back  {undo}git checkout -- {file}   (the overlay had no digest before)")
        return
    registry = f"{'http://' if at.plain_http else ''}{before.repository.removesuffix(f'/{target.image}')}"
    again = f"melalog push {target.name} --registry {registry} --overlay {where} --digest {before.digest}"
    console.print(f"roll back  {again}{f' --as {entry}' if entry else ''} && {apply}")
