"""`melalog known-answer`: whether a known picture is still answered as it was recorded."""

from pathlib import Path
from typing import Annotated

import typer

from services.common.settings import load
from services.probes import known_answer

EXPECTED = Path("k8s") / "components" / "known-answer" / "expected.json"


def command(
    picture: Annotated[
        Path | None, typer.Argument(help="JPEG, PNG, WebP or HEIC; default: a generated one.", exists=True)
    ] = None,
    expected: Annotated[Path, typer.Option(help="Recorded answers, by the models that gave them.")] = EXPECTED,
    url: Annotated[
        str, typer.Option(envvar="MELALOG_URL", help="Where the orchestrator is; default from settings.")
    ] = "",
    key_file: Annotated[
        Path | None, typer.Option(help="File with an API key, where sign-in is required.", exists=True)
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Take the answer of today as the known one.")] = False,
    tolerance: Annotated[float, typer.Option(help="In log-odds.", min=0)] = known_answer.TOLERANCE,
) -> None:
    """Send a known PICTURE through the whole graph and compare the answer with the recorded one.

    Exit status 0: as recorded; 1: it moved; 2: no whole answer; 3: by models that nobody recorded (a release).
    """
    settings = load()
    question = known_answer.Question(url or settings.url(settings.orchestrator_bind_port), picture, key_file)
    if record:
        try:
            by = known_answer.record(question, expected)
        except known_answer.Unanswered as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(known_answer.UNANSWERED) from None
        typer.echo(f"recorded in {expected}: {by}")
        return
    status, told = known_answer.check(question, expected, tolerance)
    typer.echo(told, err=bool(status))
    raise typer.Exit(status)
