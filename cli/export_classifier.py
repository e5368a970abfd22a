"""`melalog export classifier|int8|bf16|fp16|triton`: a trained classifier as an artifact, and its variants."""

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
DATA = Annotated[Path, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with its training images.", exists=True)]
PLAN = Annotated[str, typer.Option(help="The plan it was trained with. Default: the one in its manifest.")]
RANGE_IMAGES, TRIAL_IMAGES = 200, 100
"""Training images: from which the ranges of activations are taken, and on which bfloat16 is tried."""


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
    views: Annotated[int, typer.Option(help="Rotations and reflections the graph averages: 1, 2, 4 or 8.")] = 1,
    out_of_fold: Annotated[
        Path | None,
        typer.Option(help="Calibrate on this out_of_fold.csv of `melalog cross-validate`: for its fold-* and refit."),
    ] = None,
    trust_plan: Annotated[
        bool, typer.Option("--trust-plan", help="Trust --config for runs that do not record what they were trained on.")
    ] = False,
) -> None:
    """Make one artifact of finished runs: calibrate, fit the OOD detector, export, measure.

    `melalog release` then puts it in place of the released model.
    """
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
        model_name = name or "+".join(loaded.backbones)
        plan = candidate.CandidatePlan(loaded, settings, folds, version, model_name, note, views, out_of_fold)
        figures = candidate.write(plan, out, data, command=" ".join(["melalog", *sys.argv[1:]]))
    print_candidate(out, figures)


def print_candidate(out: Path, figures: dict[str, dict[str, Any]]) -> None:
    """Print where the candidate is, its figures, and what was not measured."""
    typer.echo(f"candidate written to {out}: `melalog release {out}` compares it with the released model")
    for name, figure in figures.items():
        low, high = figure["interval"]
        typer.echo(f"  {name:48} {figure['value']:.3f} ({low:.3f} to {high:.3f})  {figure['data']}, n = {figure['n']}")
    for sentence in json.loads((out / "manifest.json").read_text()).get("not_measured", []):
        typer.echo(f"  not measured: {sentence}")


def int8(
    artifact: ARTIFACT,
    data: DATA,
    config: PLAN = "",
    default: Annotated[bool, typer.Option("--default", help="If it passes, serve it on the CPU from now on.")] = False,
) -> None:
    """Quantise for the CPU; added only if it is faster than fp32 and loses at most 0.005 AUC on held-out images."""
    variants, loaded, folds = _loaded(artifact, data, config)
    from export import int8 as quantising
    from models.classifier.evaluation import measurement

    ranges = measurement.prepared(loaded, folds.train[:: max(1, len(folds.train) // RANGE_IMAGES)])
    with TemporaryDirectory() as folder:
        candidate = Path(folder) / quantising.FILE
        unquantised = quantising.write(artifact / "model.onnx", ranges, candidate)
        typer.echo(f"{len(unquantised)} convolutions stay in float")
        comparison = variants.compare(loaded, candidate, folds.calibration)
        typer.echo(str(comparison))
        if not comparison.worth_shipping:
            typer.echo("not added: it must be faster, and lose at most 0.005 AUC")
            raise typer.Exit(1)
        _add(variants, loaded, candidate, "int8", comparison, default=default)


def bf16(artifact: ARTIFACT, data: DATA, config: PLAN = "") -> None:
    """Find the layers that must stay in float32 for OpenVINO to serve the rest in bfloat16, and measure the result.

    Recorded in the manifest only if it loses at most 0.005 AUC on held-out images; without it, float32 is served.
    """
    variants, loaded, folds = _loaded(artifact, data, config)
    from export import bf16 as halving
    from models.classifier.evaluation import measurement
    from services.classifier.engine import open_vino
    from services.common.cores import usable_cores

    if not open_vino.has_bf16():
        raise typer.BadParameter("this processor has no bfloat16: run this on a machine of the kind that will serve it")

    def compiled(before: Sequence[str]) -> halving.Run:
        engine = open_vino.OpenVinoEngine(artifact / "model.onnx", usable_cores(), "bf16", before)
        return lambda cache: [one for start in range(0, len(cache), 8) for one in engine.run(cache[start : start + 8])]

    trial = measurement.prepared(loaded, folds.train[:: max(1, len(folds.train) // TRIAL_IMAGES)])
    try:
        before = halving.search(artifact / "model.onnx", trial, compiled)
    except ValueError as error:
        typer.echo(f"not added: {error}")
        raise typer.Exit(1) from None
    comparison = halving.compare(loaded, compiled(before), folds.calibration)
    change = "{:+.4f} ({:+.4f} to {:+.4f})".format(comparison.auc_change, *comparison.interval)
    typer.echo(f"in float32: the layers before {', '.join(before) or 'nothing'}; melanoma AUC {change}")
    typer.echo(f"p changes by at most {comparison.largest_change:.4f} on {comparison.n} held-out images")
    if not comparison.worth_serving:
        typer.echo("not added: it must lose at most 0.005 AUC")
        raise typer.Exit(1)
    variants.set_field(
        loaded, "bf16", {"float32_before": before, "data": loaded.manifest.calibration.data, **asdict(comparison)}
    )
    typer.echo(f"recorded in {artifact / 'manifest.json'}: `auto` serves bfloat16 where the processor has it")


def fp16(artifact: ARTIFACT, data: DATA, config: PLAN = "") -> None:
    """Make a half-precision variant; MELALOG_CLASSIFIER_ENGINE=cuda or tensorrt serves it on a GPU."""
    variants, loaded, folds = _loaded(artifact, data, config)
    from export import fp16 as halving

    with TemporaryDirectory() as folder:
        candidate = Path(folder) / halving.FILE
        sensitive = loaded.manifest.bf16.float32_before if loaded.manifest.bf16 else ()
        halving.write(artifact / "model.onnx", candidate, sensitive)
        comparison = variants.compare(loaded, candidate, folds.calibration)
        typer.echo(f"{comparison} (on this CPU, where it need not be fast)")
        if not (comparison.accurate and comparison.same):
            typer.echo("not added: it must lose at most 0.005 AUC, and change no probability by more than 0.01")
            raise typer.Exit(1)
        _add(variants, loaded, candidate, "fp16", comparison)


def triton(
    artifact: ARTIFACT,
    out: Annotated[Path, typer.Option(help="The model repository; `tritonserver --model-repository OUT` serves it.")],
    device: Annotated[Literal["cpu", "gpu"], typer.Option(help="Where the server runs the model.")] = "cpu",
) -> None:
    """Write a Triton model repository with the same graph; MELALOG_CLASSIFIER_ENGINE=triton uses the server."""
    with user_errors.as_usage_errors():
        from export import triton_repository as repository
        from models.classifier.serving.artifact import ClassifierArtifact

        written = repository.write(ClassifierArtifact.load(artifact), out, device)
    typer.echo(f"written to {written}: serve with `tritonserver --model-repository {out}`, then")
    typer.echo("MELALOG_CLASSIFIER_ENGINE=triton MELALOG_TRITON_URL=HOST:8001 melalog serve")


def _loaded(artifact: Path, data: Path, config: str) -> tuple[Any, Any, Any]:
    """(export.variants, the artifact, its training and held-out rows)."""
    with user_errors.as_usage_errors():
        from export import variants
        from models.classifier.serving.artifact import ClassifierArtifact

        loaded = ClassifierArtifact.load(artifact)
        return variants, loaded, variants.folds(loaded, data, config)


def _add(variants: Any, loaded: Any, graph: Path, precision: str, comparison: Any, *, default: bool = False) -> None:
    entry = variants.measured(comparison.decided, loaded.manifest.calibration.data) | {
        "calibration_note": str(comparison)
    }
    variants.add(loaded, graph.name, precision, partial(copyfile, graph), entry, default=default)
    typer.echo(f"added {loaded.folder / graph.name}")
