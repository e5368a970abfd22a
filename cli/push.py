"""`melalog push`: a service, with its model, from this checkout to a registry and into an overlay."""

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli import user_errors
from cli.images import container_engine, overlay, progress, sbom, signing, targets
from cli.images.image_error import ImageError
from cli.images.making import BASE, Prepared, prepared
from cli.images.registry import Registry, checked
from cli.processes import ROOT

console = Console(highlight=False, soft_wrap=True)
SBOMS = Path("build") / "sbom"
ENTRY = re.compile(r"melalog-[a-z0-9]+(-[a-z0-9]+)*")


def command(
    service: Annotated[
        str, typer.Argument(help="orchestrator, classifier, vlm, fusion, classifier-gpu, engine, app or train.")
    ],
    model: Annotated[Path | None, typer.Option(help="Folder of a released model; default: the shipped one.")] = None,
    registry: Annotated[
        str,
        typer.Option(envvar="MELALOG_REGISTRY", help=r"host[:port]\[/path]; http:// in front of one without TLS."),
    ] = "",
    into: Annotated[
        str, typer.Option("--overlay", help="Overlay to write the digest into: a name such as production, or a folder.")
    ] = "",
    entry: Annotated[
        str, typer.Option("--as", help="The overlay's name for it, where two versions run: melalog-classifier-canary.")
    ] = "",
    digest: Annotated[str, typer.Option(help="Build nothing: put this digest, pushed before, into the overlay.")] = "",
    base: Annotated[str, typer.Option(help="Image to build on: Python 3.11, Debian or alike.")] = BASE,
    key: Annotated[str, typer.Option(envvar="COSIGN_KEY", help="Key for cosign: a file or a KMS address.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build the bento, say what would be done.")] = False,
) -> None:
    """Build, tag by content, push, and write the digest into an overlay; applying it is yours.

    Prints the line that rolls it out and the one that rolls it back.
    """
    with user_errors.as_usage_errors():
        target = targets.named(service)
        at = Registry.parse(registry)
        file = overlay.find(ROOT, into) if into else None
        if entry and (file is None or not ENTRY.fullmatch(entry)):
            raise ValueError(
                f"--as {entry} names an image in an overlay: give --overlay, and a name such as melalog-NAME"
            )
        if digest:
            if model is not None or file is None:
                raise ValueError("--digest builds nothing: give it with --overlay and without --model")
            pushed = checked(digest)
            _find(at, target.image, pushed)
        else:
            found = None if dry_run else container_engine.find()
            with prepared(target, model, base) as made:
                pushed = _push(made, found, at, key) if found else _plan(made, at)
        _record(target, at, file, pushed, entry=entry, dry_run=dry_run)


def _push(made: Prepared, found: container_engine.Engine, at: Registry, key: str) -> str:
    """Build, push, list, sign; the digest in the registry."""
    repository = at.repository(made.target.image)
    tagged = f"{repository}:{made.tag}"
    with progress.shown(console, f"building {tagged}") as told:
        found.build(made.folder, [tagged, made.local], made.arguments, told)
    size = found.size(tagged)
    with progress.shown(console, f"pushing to {at.name}") as told:
        pushed = found.push(tagged, plain_http=at.plain_http, told=told)
    reference = f"{repository}@{pushed}"
    console.print(f"pushed     {tagged}  ({size / 1e6:.0f} MB unpacked)\n           {reference}")
    contents = ROOT / SBOMS / f"{made.target.image}-{made.tag}.cdx.json"
    by = sbom.write(made.target, made.folder, reference, at, contents)
    console.print(f"contents   {contents} (from {by})")
    console.print(f"signature  {signing.sign(reference, key, contents, at)}", markup=False)
    return pushed


def _find(at: Registry, image: str, digest: str) -> None:
    """Raises ImageError when the registry has no such image: a mistyped digest would show only on the cluster."""
    there = at.has(image, digest)
    if there is False:
        raise ImageError(f"{at.repository(image)} has no {digest}; nothing was changed")
    if there is None:
        console.print(f"unchecked  {at.name} could not be asked whether it has {digest}", markup=False)


def _plan(made: Prepared, at: Registry) -> str:
    """Print the commands a run without --dry-run would give; no digest is known before the push."""
    tagged = f"{at.repository(made.target.image)}:{made.tag}"
    try:
        found = container_engine.find()
    except ImageError as error:
        console.print(str(error), markup=False)
        found = container_engine.Engine("podman")
    build = found.build_command(Path("CONTEXT"), [tagged, made.local], made.arguments)
    push = found.push_command(tagged, Path("DIGEST"), plain_http=at.plain_http)
    console.print(f"would run  {shlex.join(build)}\n           {shlex.join(push)}", markup=False)
    return ""


def _record(target: targets.Target, at: Registry, file: Path | None, pushed: str, *, entry: str, dry_run: bool) -> None:
    """Write the overlay and print how to go on and how to go back."""
    repository, image = at.repository(target.image), entry or target.image
    if file is None:
        shown = pushed or "sha256:…"
        console.print(f"overlay    none is named; by hand: kustomize edit set image {image}={repository}@{shown}")
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
    undo = ""  # a Job keeps the image it was made with
    if deployment:
        apply += f" && {cluster} status deployment/{deployment}"
        undo = f"{cluster} undo deployment/{deployment} && "
    console.print(f"roll out   {apply}")
    if before is None:
        console.print(f"roll back  {undo}git checkout -- {file}   (the overlay named no digest before)")
        return
    registry = f"{'http://' if at.plain_http else ''}{before.repository.removesuffix(f'/{target.image}')}"
    again = f"melalog push {target.name} --registry {registry} --overlay {where} --digest {before.digest}"
    console.print(f"roll back  {again}{f' --as {entry}' if entry else ''} && {apply}")
