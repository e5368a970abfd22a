"""`melalog known-answer`: check that a known image still gets its recorded answer."""

from pathlib import Path
from typing import Annotated

import typer

from services.common.settings import load
from services.probes import known_answer

EXPECTED = Path("k8s") / "components" / "known-answer" / "expected.json"


def command(
    image: Annotated[
        Path | None, typer.Argument(help="JPEG, PNG, WebP or HEIC. Default: a generated image.", exists=True)
    ] = None,
    expected: Annotated[
        Path, typer.Option(help="File with the recorded answers, by version of the models.")
    ] = EXPECTED,
    url: Annotated[
        str, typer.Option(envvar="MELALOG_URL", help="Address of the orchestrator. Default: from the settings.")
    ] = "",
    key_file: Annotated[
        Path | None, typer.Option(help="File with an API key, if the server requires sign-in.", exists=True)
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Record the current answer as the expected one.")] = False,
    tolerance: Annotated[
        float, typer.Option(help="Largest change that passes, in log-odds.", min=0)
    ] = known_answer.TOLERANCE,
) -> None:
    """Send a known IMAGE through all services and compare the answer with the recorded one.

    Exit status 0: as recorded; 1: it changed; 2: no complete answer; 3: these models have no record (a release).
    """
    settings = load()
    question = known_answer.Question(url or settings.url(settings.orchestrator_bind_port), image, key_file)
    if record:
        try:
            models_key = known_answer.record(question, expected)
        except known_answer.Unanswered as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(known_answer.UNANSWERED) from None
        typer.echo(f"recorded in {expected}: {models_key}")
        return
    status, message = known_answer.check(question, expected, tolerance)
    typer.echo(message, err=bool(status))
    raise typer.Exit(status)
