"""Settings for a command: a wrong one is named in words, not in a stack trace."""

import typer
from pydantic import ValidationError
from rich.console import Console

from services.common.settings import Settings


def settings() -> Settings:
    """The settings in force; ends the command with a message when one of them is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        console = Console(highlight=False, soft_wrap=True)
        for item in error.errors():
            name = f"MELALOG_{str(item['loc'][0]).upper().removeprefix('MELALOG_')}"
            console.print(f"[red]wrong[/]  {name}: {item['msg']}")
        raise typer.Exit(1) from None
