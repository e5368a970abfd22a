"""`melalog evaluate`: measure an artifact on labelled images; writes one HTML page and one JSON file."""

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
    source: Annotated[str | None, typer.Option(help="A data set in the data folder: ham10000, isic2017, …")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split. Required with --source.")] = None,
    data: Annotated[Path | None, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with the data sets.")] = None,
    endpoint: Annotated[
        EndpointName | None, typer.Option(help="What counts as positive. Default: both, where the labels allow it.")
    ] = None,
    file: Annotated[str, typer.Option(help="Which of the artifact's graphs.")] = "model.onnx",
    run: Annotated[
        Path | None, typer.Option(help="A training run's folder or metrics.jsonl, to add its curves.")
    ] = None,
    views: Annotated[
        bool, typer.Option(help="Also measure all eight rotations and reflections; takes 8 times as long.")
    ] = True,
) -> None:
    """Measure an artifact: metrics with confidence intervals, curves, thresholds, subgroups, worst errors."""
    with user_errors.as_usage_errors():
        from models.classifier.data import table as tables
        from models.classifier.evaluation.measurement import released_rows
        from models.classifier.evaluation.reporting import evaluation_page
        from models.classifier.serving.artifact import ClassifierArtifact

        if table is not None and source is None:
            rows = [row for row in tables.read_csv(table) if split in (None, row.split)]
            name = f"{table.stem} {split or ''}".strip()
        elif source is not None and table is None and split is not None and data is not None:
            rows, name = released_rows(data, source, split), f"{source} {split}"
        else:
            raise typer.BadParameter("no images given: --table T.csv, or --source NAME --split NAME with --data")
        order = evaluation_page.Order(
            ClassifierArtifact.load(artifact), rows, name, endpoint and endpoint.value, file, turn=views, run=run
        )
        result = evaluation_page.write(order, out)
    for metric, figure in result["figures"].items():
        low, high = figure["interval"]
        typer.echo(f"  {metric:60} {figure['value']:.3f} ({low:.3f} to {high:.3f})  n = {figure['n']}")
    typer.echo(f"report: {out / 'report.html'}")
