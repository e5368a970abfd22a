"""`melalog validate`: measure fusion on real and on simulated patients, with the scripts in benchmarks/."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]


def pad(
    data: Annotated[Path, typer.Option(envvar="MELALOG_DATA_DIR", help="Folder with pad_ufes_20/.", exists=True)],
    out: Annotated[Path, typer.Option(help="Folder for report.html and pad.json.")] = Path("runs/pad"),
) -> None:
    """Measure whether fusion beats the image alone, on PAD-UFES-20: photographs and answers of the same patients."""
    _run("benchmarks.pad", out, {"MELALOG_DATA_DIR": str(data.resolve())})


def questionnaire(
    out: Annotated[Path, typer.Option(help="Folder for report.html and simulation.json.")] = Path("runs/simulation"),
) -> None:
    """Measure which risk levels 10,000 people get who are drawn from published prevalences."""
    _run("benchmarks.simulation", out, {})


def _run(module: str, out: Path, settings: dict[str, str]) -> None:
    if not (ROOT / "benchmarks").is_dir():
        raise typer.BadParameter("benchmarks/ is not installed with the package: run this from a checkout")
    done = subprocess.run(
        [sys.executable, "-m", module, str(out.resolve())], cwd=ROOT, env={**os.environ, **settings}, check=False
    )
    raise typer.Exit(done.returncode)
