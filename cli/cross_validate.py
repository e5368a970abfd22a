"""`melalog cross-validate`: figures and out-of-fold predictions by grouped, stratified folds."""

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import plans, user_errors

CANDIDATE = Path("runs") / "candidate"


def command(
    config: plans.NAME,
    out: Annotated[Path, typer.Option(help="Folder for runs and reports; a killed run goes on from there.")],
    folds: Annotated[int, typer.Option(min=2, help="How many parts; each is judged once.")] = 5,
    data: Annotated[
        Path | None, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with the sets.", exists=True)
    ] = None,
    change: plans.CHANGES = None,
    table: Annotated[Path | None, typer.Option(help="A table of `melalog data`, instead of the plan's data.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Then train on all that the folds were made of.")] = False,
    ensemble: Annotated[int | None, typer.Option(min=1, help="Name the best K folds, to be exported as one.")] = None,
) -> None:
    """Train one network per fold, judge each picture by the one that has not seen its lesion or patient."""
    if ensemble is not None and ensemble > folds:
        raise typer.BadParameter(f"--ensemble {ensemble}: there are only {folds} folds")
    known = os.environ.get("MELALOG_DATA_DIR")
    with user_errors.as_usage_errors():
        from models.classifier.evaluation import cross_validation
        from models.classifier.evaluation.reporting import cross_validation_page as reporting

        plan = _plan(config, change or [], table, data, folds)
        scores = cross_validation.run(plan, out, typer.echo)
        told = reporting.write(plan, scores, out, ensemble)
        _tell(told, out)
        if refit:
            typer.echo("training on all that the folds were made of")
            cross_validation.refit(plan, out)
    folder = data or Path(plan.config.table).parent  # export wants one, also where a table says where pictures are
    given = [] if known == str(folder) else ["--data", str(folder)]
    if ensemble is not None:
        typer.echo("next, the best folds as one network:")
        typer.echo(_next(out, told["ensemble"]["members"], given))
    if refit:
        typer.echo("next, the network that learned from all:")
        typer.echo(_next(out, ["refit"], given))


def _plan(config: str, changes: list[str], table: Path | None, data: Path | None, count: int) -> Any:
    """The rows that training would use, in folds."""
    from models.classifier.evaluation import cross_validation
    from models.classifier.training import folds
    from models.classifier.training.config import TrainConfig

    settings = TrainConfig.load(config, changes)
    if table is not None:
        settings = settings.model_copy(update={"table": str(table)})
    if settings.table is None and data is None:
        raise typer.BadParameter("name the pictures: --table T.csv, or --data with the sets of train_sources")
    if data is not None:
        os.environ["MELALOG_DATA_DIR"] = str(data)  # plans may name files in it
    rows = folds.learnable(settings, data or Path())
    plan = cross_validation.plan(settings, rows, count)
    typer.echo(f"{len(rows)} pictures in {count} folds; no test row, nothing of `hold_out`")
    return plan


def _tell(told: dict[str, Any], out: Path) -> None:
    for figure in ("melanoma_auc", "melanoma_average_precision", "malignant_auc"):
        if figure in told["figures"]:
            low, high = told["figures"][figure]["interval"]
            typer.echo(f"  {figure:30} {told['figures'][figure]['value']:.3f} ({low:.3f} to {high:.3f})")
    for warning in told["warnings"]:
        typer.secho(f"warning: {warning}", err=True, fg=typer.colors.YELLOW)
    typer.echo(f"report: {out / 'report.html'}; predictions: {out / 'out_of_fold.csv'}")


def _next(out: Path, runs: list[str], given: list[str]) -> str:
    """The command that makes a candidate for release of these runs; `config.yaml` is the plan with its changes."""
    words = ["melalog", "export", "classifier", *(str(out / run) for run in runs), "--config", str(out / "config.yaml")]
    return shlex.join([*words, "--out-of-fold", str(out / "out_of_fold.csv"), *given, "--out", str(CANDIDATE)])
