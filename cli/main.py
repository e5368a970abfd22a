"""The command line's table of contents."""

import typer

from cli import assess, bentos, doctor, serve, train

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Melanoma risk from a picture and a questionnaire. Research software, not a medical device.",
    epilog="Start with `melalog serve` in one shell and `melalog assess PICTURE` in another.",
)
app.command(name="serve")(serve.command)
app.command(name="assess")(assess.command)
app.command(name="doctor")(doctor.command)
app.command(name="bentos")(bentos.command)

training = typer.Typer(no_args_is_help=True, help="Train a model (needs the `train` extra: `make .venv/installed`).")
training.command(name="classifier")(train.classifier)
app.add_typer(training, name="train")

if __name__ == "__main__":
    app()
