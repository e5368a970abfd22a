"""`melalog export vlm`: base and adapter to something that can be served."""

from pathlib import Path
from typing import Annotated

import typer

DEMONSTRATION = (
    "A demonstration of the path: the architecture, processor and scoring of Llama 3.2 Vision 11B, small enough for a "
    "laptop. It learned from the released classifier and ten thousand pictures, so it adds little to that classifier. "
    "Not for use on its own."
)


def vlm(
    base: Annotated[Path, typer.Option(help="Folder of the base that the adapter was trained on.", exists=True)],
    adapter: Annotated[Path, typer.Option(help="Folder `adapter` of a `melalog train vlm` run.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder to write; replaced only when all is done.")],
    data: Annotated[
        Path | None,
        typer.Option(envvar="MELALOG_DATA_DIR", help="Pictures to calibrate and measure on; without, uncalibrated."),
    ] = None,
    embedded: Annotated[
        bool, typer.Option(help="Also as one ONNX graph for the vlm service itself (small models only).")
    ] = False,
    dtype: Annotated[
        str, typer.Option(help="Number format of the weights: bfloat16, float16 or float32.")
    ] = "bfloat16",
    name: Annotated[str, typer.Option(help="The release's name.")] = "melalog-vlm",
    version: Annotated[str, typer.Option(help="The release's version.")] = "0.1.0",
    purpose: Annotated[str, typer.Option(help="What it is for, as the card and GET /v1/models say.")] = "",
    made: Annotated[str, typer.Option(help="How it was made, as the card says.")] = "",
) -> None:
    """Merge a LoRA adapter into its base, check the result, calibrate and measure it.

    OUT is what MELALOG_VLM_ARTIFACT points at; OUT/merged is what the engine is started on. With --embedded OUT holds
    base/, adapter/ and model.onnx instead.
    """
    try:
        from export import vlm as exporting
        from export.vlm_layout import CheckpointLayoutError
        from models.vlm.vlm_errors import VlmError
    except ImportError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
        ) from None
    plan = exporting.MergePlan(
        base=base,
        adapter=adapter,
        name=name,
        version=version,
        purpose=purpose or (DEMONSTRATION if embedded else "Answers beside the classifier, calibrated."),
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
        typer.echo("no --data: nothing is calibrated, so its answers will be shown and will not move a risk")
        return
    for figure, told in written.artifact.manifest.metrics.items():
        low, high = told.interval
        typer.echo(f"  {figure:52} {told.value:.3f} ({low:.3f} to {high:.3f})  {told.data}, n = {told.n}")
