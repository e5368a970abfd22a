"""`melalog export vlm`: base and adapter, merged into a release that can be served."""

from pathlib import Path
from typing import Annotated

import typer

from cli import user_errors

DEMONSTRATION = (
    "A demonstration of the path: the architecture, processor and scoring of Llama 3.2 Vision 11B, small enough for a "
    "laptop. It was trained on the released classifier's outputs for ten thousand images, so it adds little to that "
    "classifier. Not for use on its own."
)


def vlm(
    base: Annotated[Path, typer.Option(help="Folder of the base that the adapter was trained on.", exists=True)],
    adapter: Annotated[Path, typer.Option(help="Folder `adapter` of a `melalog train vlm` run.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder to write; replaced only when everything has succeeded.")],
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="MELALOG_DATA_DIR",
            help="Images to calibrate and measure on. Without them the release is uncalibrated.",
        ),
    ] = None,
    embedded: Annotated[
        bool, typer.Option(help="Also write one ONNX graph, which the vlm service runs itself (small models only).")
    ] = False,
    dtype: Annotated[
        str, typer.Option(help="Number format of the weights: bfloat16, float16 or float32.")
    ] = "bfloat16",
    name: Annotated[str, typer.Option(help="The release's name.")] = "melalog-vlm",
    version: Annotated[str, typer.Option(help="The release's version.")] = "0.1.0",
    purpose: Annotated[str, typer.Option(help="What it is for, for the card and GET /v1/models.")] = "",
    made: Annotated[str, typer.Option(help="How it was made, for the card.")] = "",
) -> None:
    """Merge a LoRA adapter into its base, check the result, calibrate and measure it.

    Set MELALOG_VLM_ARTIFACT to OUT, and start the engine on OUT/merged. With --embedded, OUT has base/, adapter/ and
    model.onnx instead.
    """
    with user_errors.as_usage_errors():
        from export import vlm as exporting
        from export.vlm_layout import CheckpointLayoutError
        from models.vlm.vlm_errors import VlmError
    plan = exporting.MergePlan(
        base=base,
        adapter=adapter,
        name=name,
        version=version,
        purpose=purpose or (DEMONSTRATION if embedded else "A calibrated second opinion next to the classifier."),
        made=made,
        dtype=dtype,
        embedded=embedded,
    )
    try:
        written = exporting.release(plan, out, data)
    except (VlmError, CheckpointLayoutError, exporting.MergeError, FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"written to {out}; merging moved P(yes) by at most {written.merged_by:.4f}")
    if written.artifact is None:
        typer.echo("no --data: the release is uncalibrated; its answers will be shown but will not change a risk")
        return
    for metric, figure in written.artifact.manifest.metrics.items():
        low, high = figure.interval
        typer.echo(f"  {metric:52} {figure.value:.3f} ({low:.3f} to {high:.3f})  {figure.data}, n = {figure.n}")
