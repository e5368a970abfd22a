"""`melalog keys`: API keys for machines that call a Melalog with sign-in."""

import sys
from typing import Annotated

import typer

from services.orchestrator import api_keys

app = typer.Typer(no_args_is_help=True, help="API keys for machines (MELALOG_API_KEYS_FILE).")


@app.callback()
def _group() -> None:
    """Without a callback Typer would make the only command the group itself."""


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(help="Name of the caller: letters, digits and . _ -. Several keys may have the same name.")
    ],
) -> None:
    """Make a key for NAME.

    The key is printed once, on standard error; its line for the keys file on standard output.
    """
    key, digest = api_keys.new()
    line = f"{name} {digest}"
    try:
        api_keys.parse(line)
    except api_keys.ApiKeysError:
        raise typer.BadParameter("at most 64 letters, digits, dots, underscores and dashes") from None
    print(f"The key, shown only now (send it as `Authorization: Bearer …`):\n{key}\n", file=sys.stderr)
    print("Add this line to the file at MELALOG_API_KEYS_FILE:", file=sys.stderr)
    print(line)
