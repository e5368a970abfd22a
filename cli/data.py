"""`melalog data`: from images in any known layout to a checked and split table for training."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import user_errors

if TYPE_CHECKING:
    from models.classifier.data.table import Row

app = typer.Typer(
    no_args_is_help=True,
    help="Turn image data sets into a checked and split table (needs the `train` extra: `make .venv/installed`).",
)
Sets = Annotated[
    list[str], typer.Argument(help="Tables (T.csv), or NAME=FOLDER of a data set: ham10000=/images/ham10000.")
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="For csv=FILE, ours=theirs: dx=diagnosis. Repeatable.")
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="For csv=FILE, theirs=ours: 'clark naevus=nv'. Repeatable.")
]


@app.command("list")
def list_() -> None:
    """List the data sets that can be read, with licence and expected layout."""
    with user_errors.as_usage_errors():
        from models.classifier.data.datasets import DATASETS
    for name, dataset in DATASETS.items():
        typer.secho(name, bold=True)
        typer.echo(f"  {dataset.title}\n  licence: {dataset.licence}\n  expected: {dataset.layout}")
        if dataset.page:
            typer.echo(f"  page: {dataset.page}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name from `melalog data list`.")],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
) -> None:
    """Download a data set with the Kaggle client; where that cannot be done, print the steps to do by hand."""
    with user_errors.as_usage_errors():
        from models.classifier.data.datasets import DATASETS
        from models.classifier.data.datasets.fetch import FetchError
        from models.classifier.data.datasets.fetch import fetch as download
    if name not in DATASETS:
        raise typer.BadParameter(f"unknown data set {name}; known are {', '.join(DATASETS)}")
    typer.echo(f"licence: {DATASETS[name].licence}")
    try:
        with user_errors.as_usage_errors():
            download(DATASETS[name], out)
    except FetchError as error:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    typer.echo(f"{name} is in {out}. Next: melalog data table {name}={out} --out {out}.csv")


@app.command()
def table(
    sets: Sets,
    out: Annotated[Path, typer.Option(help="The table to write.")],
    columns: Columns = None,
    labels: Labels = None,
    leave_out_missing: Annotated[
        bool, typer.Option("--leave-out-missing", help="Leave out images whose files are missing.")
    ] = False,
) -> None:
    """Write one table out of one or several data sets."""
    with user_errors.as_usage_errors():
        rows = _rows(sets, columns, labels)
        from models.classifier.data.table import write_csv

        missing = [row for row in rows if not row.path.is_file()]
        if missing and not leave_out_missing:
            raise ValueError(
                f"{len(missing)} of {len(rows)} images are missing, the first is {missing[0].path}: "
                "complete the folder, or leave them out with --leave-out-missing"
            )
        present = [row for row in rows if row.path.is_file()]
        write_csv(present, out)
    typer.echo(f"{out}: {_summary(present)}")


@app.command()
def check(
    sets: Sets,
    report: Annotated[Path, typer.Option(help="The HTML page to write.")] = Path("data-check.html"),
    columns: Columns = None,
    labels: Labels = None,
) -> None:
    """Find leaks, unreadable files, duplicates and wrong labels. Exit status 1 for leaks and unreadable files."""
    with user_errors.as_usage_errors():
        from models.classifier.data.table_checks import KINDS
        from models.classifier.data.table_checks import check as examine
        from models.classifier.evaluation.reporting import table_page as page

        checked = examine(_rows(sets, columns, labels))
        page.write(checked, report, f"Data check: {', '.join(sets)}")
    typer.echo(_summary(checked.rows))
    for kind, findings in checked.findings.items():
        severity = KINDS[kind][0]
        colour = typer.colors.YELLOW if severity == "warning" else typer.colors.RED
        typer.secho(f"{severity}: {len(findings)} x {kind}; the first: {findings[0].says}", fg=colour)
    typer.echo(f"report: {report}")
    if checked.count("leak") or checked.count("error"):
        raise typer.Exit(1)
    typer.echo("no leak")


@app.command()
def split(
    sets: Sets,
    shares: Annotated[str, typer.Option(help="Percentages: 60/20/20, 80/20 or train=70,test=30.")] = "60/20/20",
    out: Annotated[Path | None, typer.Option(help="The table to write.")] = None,
    folders: Annotated[Path | None, typer.Option(help="Folder to create, with copies in <split>/<label>/.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
    keep: Annotated[str, typer.Option(help="A split that stays as it is, such as test.")] = "",
    join_near_duplicates: Annotated[
        bool,
        typer.Option("--join-near-duplicates", help="Read all images first, and put near duplicates into one group."),
    ] = False,
    columns: Columns = None,
    labels: Labels = None,
) -> None:
    """Split by group, the labels of each source spread evenly; write a table, class folders, or both."""
    if out is None and folders is None:
        raise typer.BadParameter("name what to write: --out TABLE.csv, --folders FOLDER, or both")
    with user_errors.as_usage_errors():
        from models.classifier.data import split as splitting
        from models.classifier.data.datasets.groups import joined
        from models.classifier.data.table import write_csv
        from models.classifier.data.table_checks import check as examine

        parts = splitting.parse(shares)
        rows = _rows(sets, columns, labels)
        if join_near_duplicates:
            before = len({row.group for row in rows})
            rows = joined(rows, examine(rows).pairs)
            typer.echo(f"{before} groups became {len({row.group for row in rows})}")
        rows = splitting.split(rows, parts, seed, keep)
        if folders is not None:
            splitting.write_folders(rows, folders)
        if out is not None:
            write_csv(rows, out)
    for name in dict.fromkeys((*parts, *([keep] if keep else []))):
        typer.echo(f"{name:12} {_summary([row for row in rows if row.split == name])}")


def _rows(sets: Sequence[str], columns: Sequence[str] | None, labels: Sequence[str] | None) -> "list[Row]":
    """Rows of all tables and data sets. Raises ValueError or OSError."""
    from models.classifier.data.datasets import DATASETS, any_csv
    from models.classifier.data.table import read_csv

    readers = DATASETS | {"csv": any_csv.dataset(_pairs("--column", columns), _pairs("--label", labels))}
    rows: list[Row] = []
    for source in sets:
        name, equals, place = source.partition("=")
        if equals and name not in readers:
            raise ValueError(f"unknown data set {name}; known are {', '.join(readers)}")
        rows += readers[name].rows(Path(place)) if equals else read_csv(Path(source))
    if not rows:
        raise ValueError(f"{', '.join(sets)}: no labelled image")
    return rows


def _pairs(option: str, values: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for pair in values or ():
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} {pair}: write it as a=b")
        pairs[name] = value
    return pairs


def _summary(rows: "Sequence[Row]") -> str:
    counts = ", ".join(f"{dx} {n}" for dx, n in Counter(row.dx for row in rows).most_common())
    return f"{len(rows)} images in {len({row.group for row in rows})} groups ({counts})"
