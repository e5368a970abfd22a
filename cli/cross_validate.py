"""`melalog cross-validate`: metrics and out-of-fold predictions from grouped, stratified folds."""

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import plans, user_errors

CANDIDATE = Path("runs") / "candidate"


def command(
    config: plans.NAME,
    out: Annotated[Path, typer.Option(help="Folder for runs and reports; a run that was killed resumes from there.")],
    folds: Annotated[int, typer.Option(min=2, help="How many folds; each is held out once.")] = 5,
    data: Annotated[
        Path | None, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with the data sets.", exists=True)
    ] = None,
    change: plans.CHANGES = None,
    table: Annotated[Path | None, typer.Option(help="A table of `melalog data`, instead of the plan's data.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Afterwards train one network on all folds together.")] = False,
    ensemble: Annotated[
        int | None, typer.Option(min=1, help="Print the command that exports the best K folds as one ensemble.")
    ] = None,
) -> None:
    """Train one network per fold; each image is predicted by the one not trained on its lesion or patient."""
    if ensemble is not None and ensemble > folds:
        raise typer.BadParameter(f"--ensemble {ensemble}: there are only {folds} folds")
    default_data = os.environ.get("MELALOG_DATA_DIR")
    with user_errors.as_usage_errors():
        from models.classifier.evaluation import cross_validation
        from models.classifier.evaluation.reporting import cross_validation_page as reporting

        plan = _plan(config, change or [], table, data, folds)
        scores = cross_validation.run(plan, out, typer.echo)
        result = reporting.write(plan, scores, out, ensemble)
        _print_result(result, out)
        if refit:
            typer.echo("training on all folds together")
            cross_validation.refit(plan, out)
    folder = data or Path(plan.config.table).parent  # export needs one, even where a table gives the paths
    data_option = [] if default_data == str(folder) else ["--data", str(folder)]
    if ensemble is not None:
        typer.echo("next, the best folds as one network:")
        typer.echo(_next(out, result["ensemble"]["members"], data_option))
    if refit:
        typer.echo("next, the network trained on all folds:")
        typer.echo(_next(out, ["refit"], data_option))


def _plan(config: str, changes: list[str], table: Path | None, data: Path | None, count: int) -> Any:
    """The rows that training would use, in folds."""
    from models.classifier.evaluation import cross_validation
    from models.classifier.training import folds
    from models.classifier.training.config import TrainConfig

    settings = TrainConfig.load(config, changes)
    if table is not None:
        settings = settings.model_copy(update={"table": str(table)})
    if settings.table is None and data is None:
        raise typer.BadParameter("no images given: --table T.csv, or --data with the data sets of train_sources")
    if data is not None:
        os.environ["MELALOG_DATA_DIR"] = str(data)  # plans may name files in it
    rows = folds.learnable(settings, data or Path())
    plan = cross_validation.plan(settings, rows, count)
    typer.echo(f"{len(rows)} images in {count} folds, without test rows and `hold_out`")
    return plan


def _print_result(result: dict[str, Any], out: Path) -> None:
    for figure in ("melanoma_auc", "melanoma_average_precision", "malignant_auc"):
        if figure in result["figures"]:
            low, high = result["figures"][figure]["interval"]
            typer.echo(f"  {figure:30} {result['figures'][figure]['value']:.3f} ({low:.3f} to {high:.3f})")
    for warning in result["warnings"]:
        typer.secho(f"warning: {warning}", err=True, fg=typer.colors.YELLOW)
    typer.echo(f"report: {out / 'report.html'}; predictions: {out / 'out_of_fold.csv'}")


def _next(out: Path, runs: list[str], data_option: list[str]) -> str:
    """The command that exports these runs as a candidate for release; config.yaml is the plan with its changes."""
    command = [
        "melalog",
        "export",
        "classifier",
        *(str(out / run) for run in runs),
        "--config",
        str(out / "config.yaml"),
    ]
    return shlex.join([*command, "--out-of-fold", str(out / "out_of_fold.csv"), *data_option, "--out", str(CANDIDATE)])
