"""`melalog train vlm`: from the data folder to an adapter with a card."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli import user_errors

CONFIG = Path(__file__).parents[1] / "models" / "vlm" / "configs" / "llama-3.2-11b.yaml"


def vlm(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints; a run that was killed resumes from there.")],
    data: Annotated[
        Path, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with ham10000/ and isic2017/.", exists=True)
    ],
    config: Annotated[
        Path,
        typer.Option(
            help="Plan: a YAML file with the fields of models.vlm.training.finetune.finetune_config.FinetuneConfig.",
            exists=True,
        ),
    ] = CONFIG,
    base: Annotated[
        str | None, typer.Option(help="Base model, instead of the plan's: a folder or a name on the Hugging Face hub.")
    ] = None,
) -> None:
    """Fine-tune Llama 3.2 Vision to answer Yes or No: on one device, or on many under `accelerate launch`."""
    with user_errors.as_usage_errors():
        from models.vlm.data import answers as tables
        from models.vlm.training.finetune.finetune_config import FinetuneConfig
        from models.vlm.training.finetune.trainer import FinetuneTrainer
        from models.vlm.vlm_errors import VlmError
    is_main = os.environ.get("RANK", "0") == "0"
    try:
        settings = FinetuneConfig.load(config)
        if base:
            settings = settings.model_copy(update={"base": base})
        folds = tables.make_folds(settings, data)
        if is_main:
            typer.echo(f"{len(folds.train)} images to train on, {len(folds.held_out)} to choose the epoch on")
        trainer = FinetuneTrainer(settings, folds, out)
    except (
        FileNotFoundError,
        ValueError,
        VlmError,
    ) as error:  # each message says what to do; pydantic names a wrong key
        raise typer.BadParameter(str(error)) from None
    try:
        trainer.run(lambda epoch, loss, auc: typer.echo(f"epoch {epoch}: loss {loss:.4f}, AUC {auc:.3f}"))
    except (FloatingPointError, VlmError) as error:
        raise typer.BadParameter(str(error)) from None
    trainer.accelerator.end_training()
    if is_main:
        typer.echo(f"written to {out}: see MODEL_CARD.md there")
        if settings.lora is None:
            typer.echo(f"next: melalog export fsdp {out / 'best'} FOLDER --base {settings.base}")
