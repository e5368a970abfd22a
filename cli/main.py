"""All commands of `melalog`."""

from importlib.metadata import version
from typing import Annotated

import typer

from cli import (
    assess,
    bentos,
    build_images,
    check_known_answer,
    cross_validate,
    data,
    doctor,
    engine,
    evaluate,
    explain,
    export,
    export_classifier,
    export_fsdp,
    keys,
    push,
    release,
    serve,
    train,
    train_stack,
    train_vlm,
    validate,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Melanoma risk from an image and a questionnaire. Research software, not a medical device.",
    epilog="Start with `melalog serve` in one shell and `melalog assess IMAGE` in another.",
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"melalog {version('melalog')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of `melalog` itself."""


app.command(name="serve")(serve.command)
app.command(name="assess")(assess.command)
app.command(name="known-answer")(check_known_answer.command)
app.command(name="explain")(explain.command)
app.command(name="doctor")(doctor.command)
app.command(name="bentos")(bentos.command)
app.command(name="images")(build_images.command)
app.command(name="push")(push.command)
app.command(name="engine")(engine.command)
app.command(name="evaluate")(evaluate.command)
app.command(name="cross-validate")(cross_validate.command)
app.command(name="release")(release.command)

app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")

training = typer.Typer(no_args_is_help=True, help="Train a model (needs the `train` extra: `make .venv/installed`).")
training.command(name="classifier")(train.classifier)
training.command(name="vlm")(train_vlm.vlm)
training.command(name="vlm-base")(train.vlm_base)
training.command(name="stack")(train_stack.stack)
app.add_typer(training, name="train")

validating = typer.Typer(
    no_args_is_help=True, help="Measure fusion on real and on simulated patients (needs a checkout)."
)
validating.command(name="pad")(validate.pad)
validating.command(name="questionnaire")(validate.questionnaire)
app.add_typer(validating, name="validate")

exporting = typer.Typer(no_args_is_help=True, help="Turn a trained model into something that can be served.")
exporting.command(name="vlm")(export.vlm)
exporting.command(name="fsdp")(export_fsdp.fsdp)
exporting.command(name="classifier")(export_classifier.classifier)
exporting.command(name="bf16")(export_classifier.bf16)
exporting.command(name="int8")(export_classifier.int8)
exporting.command(name="fp16")(export_classifier.fp16)
exporting.command(name="triton")(export_classifier.triton)
app.add_typer(exporting, name="export")

if __name__ == "__main__":
    app()
