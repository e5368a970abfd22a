"""`melalog release`: put a candidate in place of the released model, if it passes the release gate."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli import user_errors

RELEASED = Path(__file__).parents[1] / "models" / "released" / "classifier"


def command(
    candidate: Annotated[Path, typer.Argument(help="Folder of the artifact to release.", exists=True)],
    data: Annotated[
        Path, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with ham10000/ and isic2017/.", exists=True)
    ],
    released: Annotated[
        Path, typer.Option(help="Folder of the released model; replaced if every check passes.")
    ] = RELEASED,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only, replace nothing.")] = False,
) -> None:
    """Compare a candidate with the released classifier; release it if it is no worse, calibrated and complete.

    The comparison uses held-out predictions and the ISIC 2017 test set. The HAM10000 test set decides nothing: the
    model card only reports it.
    """
    os.environ["MELALOG_DATA_DIR"] = str(data)  # plans may name files in it
    with user_errors.as_usage_errors():
        from export import release_gate
        from models.classifier.serving.artifact import ClassifierArtifact

        checks = []
        for check in release_gate.checks(ClassifierArtifact.load(candidate), ClassifierArtifact.load(released), data):
            checks.append(check)
            typer.echo(f"{check.verdict:7}  {check.name:32} {check.detail}")
    if not all(check.passed for check in checks):
        typer.echo("not released: nothing was changed")
        raise typer.Exit(1)
    if dry_run:
        typer.echo("every check passed; --dry-run: nothing was changed")
        return
    with user_errors.as_usage_errors():
        release_gate.install(candidate, released)
    typer.echo(f"released to {released}")
