"""`melalog export fsdp`: a sharded full fine-tune as a servable folder."""

from pathlib import Path
from typing import Annotated

import typer


def fsdp(
    checkpoint: Annotated[Path, typer.Argument(help="Sharded checkpoint, such as OUT/best.", exists=True)],
    out: Annotated[Path, typer.Argument(help="Folder to write; must not exist.")],
    base: Annotated[str, typer.Option(help="What was fine-tuned: a folder or a hub name.")],
    revision: Annotated[str | None, typer.Option(help="The base's revision on the hub.")] = None,
) -> None:
    """Put the shards of a full fine-tune together into one folder that engines load (adapters need no conversion)."""
    try:
        from export.fsdp import consolidate
        from export.vlm_layout import CheckpointLayoutError
        from models.vlm.vlm_errors import VlmError
    except ImportError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
        ) from None
    try:
        consolidate(checkpoint, base, out, revision)
    except (VlmError, CheckpointLayoutError) as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"written to {out}")
