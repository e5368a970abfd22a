"""`melalog train stack`: fit the weights of the two image models, on images that neither was trained on."""

from pathlib import Path
from typing import Annotated

import typer

from cli import user_errors

RELEASED = Path(__file__).parents[1] / "models" / "released"


def stack(
    data: Annotated[Path, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with ham10000/.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder for stack.json, manifest.json and MODEL_CARD.md.")] = RELEASED
    / "fusion",
    classifier: Annotated[
        Path, typer.Option(help="Folder of a released classifier with out_of_fold.csv.", exists=True)
    ] = RELEASED / "classifier",
    vlm: Annotated[Path, typer.Option(help="Folder of a released vlm with an ONNX graph.", exists=True)] = RELEASED
    / "vlm",
    draws: Annotated[int, typer.Option(min=20, help="Bootstrap resamples for each confidence interval.")] = 1000,
) -> None:
    """Fit the stack of a classifier and a vlm, measure it by nested folds and on the test images, write its card."""
    with user_errors.as_usage_errors():
        from models.classifier.serving.artifact import ClassifierArtifact as Classifier
        from models.common.artifact import ArtifactError
        from models.stack import stack_release
        from models.vlm.serving.artifact import VlmArtifact as Vlm
    try:
        pair = stack_release.Pair(Classifier.load(classifier), Vlm.load(vlm))
        manifest = stack_release.write(pair, data, out, typer.echo, draws)
    except (ArtifactError, OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    for name, figure in manifest["metrics"].items():
        low, high = figure["interval"]
        typer.echo(f"  {name:40} {figure['value']:+.4f} ({low:+.4f} to {high:+.4f})  n = {figure['n']}")
    typer.echo(f"written to {out}")
