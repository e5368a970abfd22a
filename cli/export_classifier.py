"""`melalog export classifier|int8|fp16|triton`: a trained classifier as an artifact, and its further forms."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import typer

from cli import user_errors

ARTIFACT = Annotated[Path, typer.Argument(help="Folder of the artifact, as `melalog train classifier` writes it.")]
DATA = Annotated[Path, typer.Option(envvar="MELALOG_DATA_DIR", help="The pictures it was trained on.", exists=True)]
PLAN = Annotated[str, typer.Option(help="The plan it was trained by; default: the one in its manifest.")]
RANGES, SHOWN = 200, 100
"""Training pictures that show the ranges of the activations; that bfloat16 is tried on."""


def classifier(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs; several are averaged in one graph.")],
    out: Annotated[Path, typer.Option(help="The artifact's folder; replaced only when all is done.")],
    data: DATA,
    config: Annotated[
        str,
        typer.Option(help="The plan whose folds the runs share: a YAML file, or a name in models/classifier/configs."),
    ] = "released",
    version: Annotated[str, typer.Option(help="The artifact's version.")] = "0.1.0",
    name: Annotated[str, typer.Option(help="The artifact's name; default: its networks.")] = "",
    note: Annotated[str, typer.Option(help="How it was trained, for the card.")] = "",
    views: Annotated[int, typer.Option(help="Turns and mirrors averaged inside the graph: 1, 2, 4 or 8.")] = 1,
    out_of_fold: Annotated[
        Path | None,
        typer.Option(help="Calibrate on this out_of_fold.csv of `melalog cross-validate`: for its fold-* and refit."),
    ] = None,
    trust_plan: Annotated[
        bool, typer.Option("--trust-plan", help="Believe --config for runs that do not say what they learned from.")
    ] = False,
) -> None:
    """Calibrate, gate, export and measure finished runs as one artifact; `melalog release` then puts it in place."""
    with user_errors.as_usage_errors():
        from export import candidate, ensemble
        from models.classifier.release import release_figures
        from models.classifier.training.config import TrainConfig
        from models.classifier.training.folds import make_folds

        os.environ["MELALOG_DATA_DIR"] = str(data)  # plans may name files in it
        settings = TrainConfig.load(config)
        release_figures.check_data(settings, data)
        folds = make_folds(settings, data)
        loaded = ensemble.load(runs)
        ensemble.check(loaded, settings, [] if out_of_fold else folds.calibration, trust_plan=trust_plan)
        called = name or "+".join(loaded.backbones)
        plan = candidate.CandidatePlan(loaded, settings, folds, version, called, note, views, out_of_fold)
        figures = candidate.write(plan, out, data, command=" ".join(["melalog", *sys.argv[1:]]))
    tell(out, figures)


def tell(out: Path, figures: dict[str, dict[str, Any]]) -> None:
    """Say what was written, and what it is."""
    typer.echo(f"candidate written to {out}: `melalog release {out}` compares it with the released model")
    for figure, told in figures.items():
        low, high = told["interval"]
        typer.echo(f"  {figure:48} {told['value']:.3f} ({low:.3f} to {high:.3f})  {told['data']}, n = {told['n']}")
    for sentence in json.loads((out / "manifest.json").read_text()).get("not_measured", []):
        typer.echo(f"  not measured: {sentence}")


def int8(
    artifact: ARTIFACT,
    data: DATA,
    config: PLAN = "",
    default: Annotated[bool, typer.Option("--default", help="Serve it on the CPU from now on, if it is kept.")] = False,
) -> None:
    """Quantise for the CPU; kept only if it is faster than fp32 and loses at most 0.005 AUC on held-out pictures."""
    variants, loaded, folds = _loaded(artifact, data, config)
    from export import int8 as quantising
    from models.classifier.evaluation import measurement

    ranges = measurement.prepared(loaded, folds.train[:: max(1, len(folds.train) // RANGES)])
    with TemporaryDirectory() as folder:
        tried = Path(folder) / quantising.FILE
        kept = quantising.write(artifact / "model.onnx", ranges, tried)
        typer.echo(f"{len(kept)} convolutions stay in float")
        judged = variants.compare(loaded, tried, folds.calibration)
        typer.echo(str(judged))
        if not judged.worth_shipping:
            typer.echo("not kept: it must be faster, and lose at most 0.005 AUC")
            raise typer.Exit(1)
        _keep(variants, loaded, tried, "int8", judged, default=default)


def bf16(artifact: ARTIFACT, data: DATA, config: PLAN = "") -> None:
    """Find out what of the network must stay in float32 for OpenVINO to serve the rest in bfloat16, and measure that.

    Kept in the manifest only if it loses at most 0.005 AUC on held-out pictures; without it, float32 is served.
    """
    variants, loaded, folds = _loaded(artifact, data, config)
    from export import bf16 as halving
    from models.classifier.evaluation import measurement
    from services.classifier.engine import open_vino
    from services.common.cores import usable_cores

    if not open_vino.has_bf16():
        raise typer.BadParameter("this processor does not compute in bfloat16: measure where it will be served")

    def compiled(before: Sequence[str]) -> halving.Run:
        engine = open_vino.OpenVinoEngine(artifact / "model.onnx", usable_cores(), "bf16", before)
        return lambda cache: [one for start in range(0, len(cache), 8) for one in engine.run(cache[start : start + 8])]

    shown = measurement.prepared(loaded, folds.train[:: max(1, len(folds.train) // SHOWN)])
    try:
        before = halving.search(artifact / "model.onnx", shown, compiled)
    except ValueError as error:
        typer.echo(f"not kept: {error}")
        raise typer.Exit(1) from None
    judged = halving.compare(loaded, compiled(before), folds.calibration)
    change = "{:+.4f} ({:+.4f} to {:+.4f})".format(judged.auc_change, *judged.interval)
    typer.echo(f"in float32: what leads to {', '.join(before) or 'nothing'}; melanoma AUC {change}")
    typer.echo(f"p changes by at most {judged.largest_change:.4f} on {judged.n} held-out pictures")
    if not judged.worth_serving:
        typer.echo("not kept: it must lose at most 0.005 AUC")
        raise typer.Exit(1)
    variants.set_field(
        loaded, "bf16", {"float32_before": before, "data": loaded.manifest.calibration.data, **asdict(judged)}
    )
    typer.echo(f"noted in {artifact / 'manifest.json'}: `auto` serves bfloat16 where the processor has it")


def fp16(artifact: ARTIFACT, data: DATA, config: PLAN = "") -> None:
    """Half precision for a GPU: MELALOG_CLASSIFIER_ENGINE=cuda or tensorrt serves it where the artifact has it."""
    variants, loaded, folds = _loaded(artifact, data, config)
    from export import fp16 as halving

    with TemporaryDirectory() as folder:
        tried = Path(folder) / halving.FILE
        sensitive = loaded.manifest.bf16.float32_before if loaded.manifest.bf16 else ()
        halving.write(artifact / "model.onnx", tried, sensitive)
        judged = variants.compare(loaded, tried, folds.calibration)
        typer.echo(f"{judged} (on this CPU, where it need not be fast)")
        if not (judged.accurate and judged.same):
            typer.echo("not kept: it must lose at most 0.005 AUC, and change no probability by more than 0.01")
            raise typer.Exit(1)
        _keep(variants, loaded, tried, "fp16", judged)


def triton(
    artifact: ARTIFACT,
    out: Annotated[Path, typer.Option(help="The model repository; `tritonserver --model-repository OUT` serves it.")],
    device: Annotated[Literal["cpu", "gpu"], typer.Option(help="Where the server runs the model.")] = "cpu",
) -> None:
    """Write a Triton model repository that holds the same graph; MELALOG_CLASSIFIER_ENGINE=triton uses the server."""
    from models.classifier.serving.artifact import Artifact
    from models.common.artifact import ArtifactError

    try:
        from export import triton_repository as repository
    except ImportError as error:
        raise _missing(error) from None
    try:
        written = repository.write(Artifact.load(artifact), out, device)
    except ArtifactError as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"written to {written}: serve with `tritonserver --model-repository {out}`, then")
    typer.echo("MELALOG_CLASSIFIER_ENGINE=triton MELALOG_TRITON_URL=HOST:8001 melalog serve")


def _loaded(artifact: Path, data: Path, config: str) -> tuple[Any, Any, Any]:
    """(export.variants, the artifact, its training and held-out rows)."""
    try:
        from export import variants
        from models.classifier.serving.artifact import Artifact
        from models.common.artifact import ArtifactError
    except ImportError as error:
        raise _missing(error) from None
    try:
        loaded = Artifact.load(artifact)
        folds = variants.folds(loaded, data, config)
    except (ArtifactError, FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    return variants, loaded, folds


def _keep(variants: Any, loaded: Any, tried: Path, precision: str, judged: Any, *, default: bool = False) -> None:
    entry = variants.measured(judged.decided, loaded.manifest.calibration.data) | {"calibration_note": str(judged)}
    variants.add(loaded, tried.name, precision, partial(copyfile, tried), entry, default=default)
    typer.echo(f"added {loaded.folder / tried.name}")


def _missing(error: ImportError) -> typer.BadParameter:
    return typer.BadParameter(
        f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
    )
