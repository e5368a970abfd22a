"""The options that choose and change a training plan, the same in every command that takes one."""

from typing import Annotated

import typer

NAME = Annotated[str, typer.Option(help="Training plan: a YAML file, or the name of one in models/classifier/configs.")]
CHANGES = Annotated[
    list[str] | None, typer.Option("--set", help="Change a value of the plan, such as optimiser.lr=1e-3. Repeatable.")
]
