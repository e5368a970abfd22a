"""How a training plan is named and changed on the command line, the same in every command that takes one."""

from typing import Annotated

import typer

NAME = Annotated[str, typer.Option(help="A plan: a YAML file, or the name of one in models/classifier/configs.")]
CHANGES = Annotated[
    list[str] | None, typer.Option("--set", help="key=value instead of the plan's: optimiser.lr=1e-3. Repeatable.")
]
