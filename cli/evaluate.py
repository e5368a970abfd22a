"""`melalog evaluate`: what an artifact is worth on labelled pictures, as one HTML page and one JSON file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli import user_errors


class EndpointName(StrEnum):
    """What counts as positive."""

    MELANOMA = "melanoma"
    MALIGNANT = "malignant"


def command(
    artifact: Annotated[Path, typer.Argument(help="Folder with manifest.json and model.onnx.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html and evaluation.json.")],
    table: Annotated[Path | None, typer.Option(help="A table of `melalog data`; or use --source.")] = None,
    source: Annotated[str | None, typer.Option(help="A set in the data folder: ham10000, isic2017, …")] = None,
    split: Annotated[str | None, typer.Option(help="Only rows of this split; needed with --source.")] = None,
    data: Annotated[Path | None, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with the sets.")] = None,
    endpoint: Annotated[EndpointName | None, typer.Option(help="Default: both, where labels decide them.")] = None,
    file: Annotated[str, typer.Option(help="Which file of the artifact.")] = "model.onnx",
    run: Annotated[Path | None, typer.Option(help="A run's folder or metrics.jsonl, for training curves.")] = None,
    views: Annotated[bool, typer.Option(help="Also measure eight turns and mirrors; takes 8 times as long.")] = True,
) -> None:
    """Measure an artifact: figures with intervals, curves, thresholds, subgroups, worst errors."""
    with user_errors.as_usage_errors():
        from models.classifier.data import table as tables
        from models.classifier.evaluation.measurement import released_rows
        from models.classifier.evaluation.reporting import evaluation_page
        from models.classifier.serving.artifact import Artifact

        if table is not None and source is None:
            rows = [row for row in tables.read_csv(table) if split in (None, row.split)]
            name = f"{table.stem} {split or ''}".strip()
        elif source is not None and table is None and split is not None and data is not None:
            rows, name = released_rows(data, source, split), f"{source} {split}"
        else:
            raise typer.BadParameter("name the pictures: --table T.csv, or --source NAME --split NAME with --data")
        order = evaluation_page.Order(
            Artifact.load(artifact), rows, name, endpoint and endpoint.value, file, turn=views, run=run
        )
        told = evaluation_page.write(order, out)
    for figure, measured in told["figures"].items():
        low, high = measured["interval"]
        typer.echo(f"  {figure:60} {measured['value']:.3f} ({low:.3f} to {high:.3f})  n = {measured['n']}")
    typer.echo(f"report: {out / 'report.html'}")
