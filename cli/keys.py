"""`melalog keys`: API keys for machines that call a Melalog with sign-in."""

import sys
from typing import Annotated

import typer

from services.orchestrator import api_keys

app = typer.Typer(no_args_is_help=True, help="API keys for machines (MELALOG_API_KEYS_FILE).")


@app.callback()
def _group() -> None:
    """Keeps `new` a command of its own while it is the only one."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Who will use it: letters, digits and . _ -; keys may share one.")],
) -> None:
    """Make a key for NAME: shown once on the terminal; standard output has the line for the file of keys."""
    key, digest = api_keys.new()
    line = f"{name} {digest}"
    try:
        api_keys.parse(line)
    except api_keys.ApiKeysError:
        raise typer.BadParameter("at most 64 letters, digits, dots, underscores and dashes") from None
    print(f"The key, shown this once (send it as `Authorization: Bearer …`):\n{key}\n", file=sys.stderr)
    print("Its line for the file MELALOG_API_KEYS_FILE names:", file=sys.stderr)
    print(line)
