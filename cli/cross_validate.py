"""`melalog cross-validate`: figures and out-of-fold predictions by grouped, stratified folds."""

from pathlib import Path
from typing import Annotated

import typer


def command(  # noqa: C901  (each branch names one thing that is wrong)
    config: Annotated[Path, typer.Option(help="YAML of models.classifier.config.TrainConfig.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder for runs and reports; a killed run goes on from there.")],
    folds: Annotated[int, typer.Option(min=2, help="How many parts; each is judged once.")] = 5,
    data: Annotated[Path | None, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with the sets.")] = None,
    table: Annotated[Path | None, typer.Option(help="A table of `melalog data`, instead of train_sources.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Then train on everything but the test data.")] = False,
    ensemble: Annotated[int | None, typer.Option(min=1, help="Name the best K folds, to be exported as one.")] = None,
) -> None:
    """Train one network per fold, judge each picture by the one that has not seen its lesion or patient."""
    try:
        from models.classifier import cross_validation
        from models.classifier import table as tables
        from models.classifier.config import TrainConfig
        from models.classifier.reporting import folds as reporting
    except ImportError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
        ) from None
    try:
        settings = TrainConfig.load(config)
        if table is not None:
            rows = tables.read_csv(table)
        elif data is not None:
            rows = [row for source in settings.train_sources for row in tables.read(data, source)]
        else:
            raise typer.BadParameter("name the pictures: --table T.csv, or --data with the sets of train_sources")
        plan = cross_validation.plan(settings, rows, folds)
        if ensemble is not None and ensemble > folds:
            raise typer.BadParameter(f"--ensemble {ensemble}: there are only {folds} folds")
        left = len(rows) - len(plan.rows)
        typer.echo(f"{len(plan.rows)} pictures in {folds} folds; {left} are test rows or share a group with one")
        scores = cross_validation.run(plan, out, typer.echo)
        told = reporting.write(plan, scores, out, ensemble)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    for figure in ("melanoma_auc", "melanoma_average_precision", "malignant_auc"):
        if figure in told["figures"]:
            low, high = told["figures"][figure]["interval"]
            typer.echo(f"  {figure:30} {told['figures'][figure]['value']:.3f} ({low:.3f} to {high:.3f})")
    for warning in told["warnings"]:
        typer.secho(f"warning: {warning}", err=True, fg=typer.colors.YELLOW)
    typer.echo(f"report: {out / 'report.html'}; predictions: {out / 'out_of_fold.csv'}")
    if ensemble is not None:
        typer.echo(f"best folds: {', '.join(told['ensemble']['members'])}")
    if refit:
        typer.echo("training on everything but the test data")
        cross_validation.refit(plan, out)
        typer.echo(f"refitted: {out / 'refit'}")
