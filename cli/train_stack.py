"""`melalog train stack`: how much each of the two image models counts, fitted on pictures that neither learned from."""

from pathlib import Path
from typing import Annotated

import typer

RELEASED = Path(__file__).parents[1] / "models" / "released"


def stack(
    data: Annotated[Path, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with ham10000/.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder for stack.json, manifest.json and MODEL_CARD.md.")] = RELEASED
    / "fusion",
    classifier: Annotated[
        Path, typer.Option(help="A released classifier with out_of_fold.csv.", exists=True)
    ] = RELEASED / "classifier",
    vlm: Annotated[Path, typer.Option(help="A released vlm with a graph.", exists=True)] = RELEASED / "vlm",
    draws: Annotated[int, typer.Option(min=20, help="Resamples behind every interval.")] = 1000,
) -> None:
    """Fit the stack of a classifier and a vlm, measure it by nested folds and on the test pictures, write its card."""
    try:
        from models.classifier.serving.artifact import Artifact as Classifier
        from models.common.artifact import ArtifactError
        from models.stack import stack_release
        from models.vlm.serving.artifact import Artifact as Vlm
    except ImportError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
        ) from None
    try:
        pair = stack_release.Pair(Classifier.load(classifier), Vlm.load(vlm))
        manifest = stack_release.write(pair, data, out, typer.echo, draws)
    except (ArtifactError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    for name, figure in manifest["metrics"].items():
        low, high = figure["interval"]
        typer.echo(f"  {name:40} {figure['value']:+.4f} ({low:+.4f} to {high:+.4f})  n = {figure['n']}")
    typer.echo(f"written to {out}")
