"""`melalog bentos`: build the four bentos from this checkout."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bentoml
import typer
from rich.console import Console

from cli.processes import ROOT
from models.classifier import artifact as classifier
from models.vlm import artifact as vlm

console = Console(highlight=False, soft_wrap=True)
FILES = {
    "orchestrator": "bentofile.yaml",
    "classifier": "services/classifier/bentofile.yaml",
    "vlm": "services/vlm/bentofile.yaml",
    "fusion": "services/fusion/bentofile.yaml",
}


def command() -> None:
    """Build all four bentos into BentoML's store; each serves alone with `bentoml serve melalog-NAME:latest`."""
    _fill_model_store()
    for name, file in FILES.items():
        built = subprocess.run(
            [str(Path(sys.executable).with_name("bentoml")), "build", "-f", file, "-o", "tag", "."],
            cwd=ROOT,
            env={**os.environ, "BENTOML_DO_NOT_TRACK": "True"},
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            console.print(built.stdout + built.stderr, markup=False)
            console.print(f"[red]{name} was not built[/]; what BentoML said is above")
            raise typer.Exit(1)
        tag = built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
        size = sum(path.stat().st_size for path in Path(bentoml.get(tag).path).rglob("*") if path.is_file())
        console.print(f"{name:>12}  {tag}  {size / 1e6:.1f} MB of code and model, lock in requirements/{name}.txt")
    console.print("\nServe one: .venv-serve/bin/bentoml serve melalog-classifier:latest --port 3001")


def _fill_model_store() -> None:
    """Copy the released models into BentoML's model store, each under its own digest."""
    for released in (classifier, vlm):
        tag = f"{released.STORE_NAME}:{released.Artifact.load(released.RELEASED).digest}"
        with contextlib.suppress(bentoml.exceptions.NotFound):
            bentoml.models.delete(tag)  # made anew it is the latest, which is the one the bento takes along
        with bentoml.models.create(tag) as model:
            shutil.copytree(released.RELEASED, model.path, dirs_exist_ok=True)
