"""`melalog train`: from the data folder to a candidate for release."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import plans, user_errors
from cli.export_classifier import print_candidate


def classifier(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints; a run that was killed resumes from there.")],
    data: Annotated[
        Path,
        typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with ham10000/, isic2017/, pad_ufes_20/.", exists=True),
    ],
    config: plans.NAME = "released",
    change: plans.CHANGES = None,
    only_train: Annotated[bool, typer.Option("--only-train", help="Stop at OUT/network.safetensors.")] = False,
    find_batch_size: Annotated[
        bool, typer.Option("--find-batch-size", help="Train with the largest batch that fits into memory.")
    ] = False,
    release: Annotated[Path | None, typer.Option(help="Where to write the candidate; default OUT/artifact.")] = None,
    version: Annotated[str, typer.Option(help="Version of the artifact.")] = "0.1.0",
) -> None:
    """Train, calibrate, export and measure a lesion classifier: on one device, or on many under `torchrun`."""
    with user_errors.as_usage_errors():
        from export import candidate, ensemble
        from models.classifier.release import release_figures
        from models.classifier.training import devices, folds, start
        from models.classifier.training.config import TrainConfig
        from models.classifier.training.folds import make_folds

        os.environ["MELALOG_DATA_DIR"] = str(data)  # plans may name files in it
        try:
            settings = TrainConfig.load(config, change or ())
            if not only_train:
                release_figures.check_data(settings, data)
            parts = make_folds(settings, data)
            trainer = start.trainer(settings, parts, out, find_batch_size=find_batch_size)
            if trainer.place.main:
                _print_data(trainer.config, parts, folds.absent(parts.train))
            trainer.run(lambda *_: _print_epoch(trainer.history[-1]))
        finally:
            devices.stop()
        if not trainer.place.main or only_train:
            return
        loaded = ensemble.load([out])
        ensemble.check(loaded, trainer.config, parts.calibration)
        plan = candidate.CandidatePlan(loaded, trainer.config, parts, version, loaded.backbones[0])
        artifact = release or out / "artifact"
        figures = candidate.write(plan, artifact, data, command=" ".join(["melalog", *sys.argv[1:]]))
    print_candidate(artifact, figures)


def _print_data(config: Any, parts: Any, absent: list[str]) -> None:
    typer.echo(
        f"{len(parts.train)} images to train on, {len(parts.calibration)} to calibrate on"
        + (f", {len(parts.validation)} to choose the epoch on" if parts.validation else "")
        + f"; batches of {config.batch_size}"
    )
    if absent:
        typer.echo(f"no image of {', '.join(absent)} to train on: the network's output for it will mean nothing")


def _print_epoch(record: dict[str, Any]) -> None:
    values = {key: value for key, value in record.items() if key not in ("epoch", "phase", "lr", "best")}
    figures = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
    typer.echo(
        f"epoch {record['epoch']} ({record['phase']}): {figures}{' — the best so far' if record.get('best') else ''}"
    )


SMALL = Path(__file__).parents[1] / "models" / "vlm" / "configs" / "small-base.yaml"


def vlm_base(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints; a run that was killed resumes from there.")],
    data: Annotated[
        Path, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with ham10000/ and isic2017/.", exists=True)
    ],
    config: Annotated[
        Path,
        typer.Option(
            help="Plan: a YAML file with the fields of models.vlm.training.pretrain.small_base.BaseConfig.", exists=True
        ),
    ] = SMALL,
    teacher: Annotated[
        Path | None, typer.Option(help="A released classifier. Default: the one in models/released.")
    ] = None,
) -> None:
    """Train the base of the small vision-language model from random weights, and write it to OUT/base.

    Then train its adapter: `melalog train vlm --config models/vlm/configs/small-lora.yaml`.
    """
    with user_errors.as_usage_errors():
        from export.vlm_layout import write_layout
        from models.classifier.serving.artifact import RELEASED
        from models.vlm.data.answers import make_folds
        from models.vlm.training.finetune.finetune_config import FinetuneConfig
        from models.vlm.training.pretrain import small_base
    try:
        settings = small_base.BaseConfig.load(config)
        rows = make_folds(FinetuneConfig(), data).train
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"{len(rows)} images to train on")
    model, processor = small_base.train(settings, rows, teacher or RELEASED, out)
    write_layout(model, processor, out / "base", "float16")
    typer.echo(f"base written to {out / 'base'}")
