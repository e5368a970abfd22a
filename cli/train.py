"""`melalog train`: from the data folder to a released artifact."""

from pathlib import Path
from typing import Annotated, Any

import typer

CONFIG = Path(__file__).parents[1] / "models" / "classifier" / "configs" / "released.yaml"


def classifier(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints; a killed run goes on from there.")],
    data: Annotated[
        Path,
        typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with ham10000/, isic2017/, pad_ufes_20/.", exists=True),
    ],
    config: Annotated[Path, typer.Option(help="YAML of models.classifier.config.TrainConfig.", exists=True)] = CONFIG,
    release: Annotated[Path | None, typer.Option(help="Where to write the artifact; default OUT/artifact.")] = None,
    version: Annotated[str, typer.Option(help="The artifact's version.")] = "0.1.0",
) -> None:
    """Train, calibrate, export and measure a lesion classifier."""
    try:
        from export import classifier as exporting
        from models.classifier import report, train
        from models.classifier.config import TrainConfig
    except ImportError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
        ) from None
    try:
        settings = TrainConfig.load(config)
        report.check_data(data)
        folds = train.make_folds(settings, data)
    except (FileNotFoundError, ValueError) as error:  # a missing table; a wrong key, which pydantic names
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"{len(folds.train)} pictures to learn from, {len(folds.calibration)} to calibrate on")
    network = train.Trainer(settings, folds.train, out).run()
    figures: dict[str, dict[str, Any]] = {}

    def measure(folder: Path) -> None:
        figures.update(report.measure_release(folder, data))
        exporting.add_metrics(folder, figures)
        report.write_card(folder)

    folder = exporting.write(release or out / "artifact", network, settings, folds, version, measure)
    typer.echo(f"released to {folder}")
    for name, figure in figures.items():
        low, high = figure["interval"]
        typer.echo(f"  {name:48} {figure['value']:.3f} ({low:.3f} to {high:.3f})  {figure['data']}, n = {figure['n']}")


SMALL = Path(__file__).parents[1] / "models" / "vlm" / "configs" / "small-base.yaml"


def vlm_base(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints; a killed run goes on from there.")],
    data: Annotated[
        Path, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with ham10000/ and isic2017/.", exists=True)
    ],
    config: Annotated[Path, typer.Option(help="YAML of models.vlm.pretrain.steps.BaseConfig.", exists=True)] = SMALL,
    teacher: Annotated[Path | None, typer.Option(help="A released classifier; default: the shipped one.")] = None,
) -> None:
    """Make the base of the small vision-language model, from random weights: OUT/base.

    Then `melalog train vlm --config models/vlm/configs/small-lora.yaml` makes its adapter.
    """
    try:
        from export.vlm_layout import write_layout
        from models.classifier.artifact import RELEASED
        from models.vlm.finetune.config import FinetuneConfig
        from models.vlm.finetune.data import make_folds
        from models.vlm.pretrain import steps
    except ImportError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
        ) from None
    try:
        settings = steps.BaseConfig.load(config)
        rows = make_folds(FinetuneConfig(), data).train
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"{len(rows)} pictures to learn from")
    model, processor = steps.train(settings, rows, teacher or RELEASED, out)
    write_layout(model, processor, out / "base", "float16")
    typer.echo(f"base written to {out / 'base'}")
