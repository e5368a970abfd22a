"""`melalog export fsdp`: a sharded full fine-tune as one folder that engines load."""

from pathlib import Path
from typing import Annotated

import typer

from cli import user_errors


def fsdp(
    checkpoint: Annotated[Path, typer.Argument(help="Sharded checkpoint, such as OUT/best.", exists=True)],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    base: Annotated[
        str, typer.Option(help="The base that was fine-tuned: a folder or a name on the Hugging Face hub.")
    ],
    revision: Annotated[str | None, typer.Option(help="The base's revision on the hub.")] = None,
) -> None:
    """Join the shards of a full fine-tune into one folder that engines load (adapters need no conversion)."""
    with user_errors.as_usage_errors():
        from export.fsdp import consolidate
        from export.vlm_layout import CheckpointLayoutError
        from models.vlm.vlm_errors import VlmError
    try:
        consolidate(checkpoint, base, out, revision)
    except (VlmError, CheckpointLayoutError) as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"written to {out}")
