"""`melalog bentos`: build the four bentos from this checkout."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bentoml
import typer
from rich.console import Console

from cli.images.image_error import ImageError
from cli.processes import ROOT
from models.classifier.serving import artifact as classifier
from models.classifier.serving.artifact import ClassifierArtifact
from models.vlm.serving import artifact as vlm
from models.vlm.serving.artifact import VlmArtifact

console = Console(highlight=False, soft_wrap=True)
FILES = {
    "orchestrator": "bentofile.yaml",
    "classifier": "services/classifier/bentofile.yaml",
    "vlm": "services/vlm/bentofile.yaml",
    "fusion": "services/fusion/bentofile.yaml",
}
RELEASES: dict[str, Any] = {"classifier": classifier, "vlm": vlm}
LOADERS: dict[str, Callable[[Path], ClassifierArtifact | VlmArtifact]] = {
    "classifier": ClassifierArtifact.load,
    "vlm": VlmArtifact.load,
}
CARD = "MODEL_CARD.md"


def command() -> None:
    """Build all four bentos into BentoML's store; each also runs alone: `bentoml serve melalog-NAME:latest`."""
    for name in FILES:
        try:
            tag = build(name)
        except ImageError as error:
            console.print(str(error), markup=False)
            raise typer.Exit(1) from None
        size = sum(path.stat().st_size for path in Path(bentoml.get(tag).path).rglob("*") if path.is_file())
        console.print(f"{name:>12}  {tag}  {size / 1e6:.1f} MB of code, lock in requirements/{name}.txt")
    console.print("\nServe one: .venv-serve/bin/bentoml serve melalog-classifier:latest --port 3001")


def build(name: str, model: Path | None = None) -> str:
    """Build one bento, with its model (the released one, or that folder's) in BentoML's store; returns its tag.

    Raises ArtifactError for a folder that is no released model, ImageError with BentoML's output.
    """
    if model is not None and name not in RELEASES:
        raise ImageError(f"{name} has no model; those with one are {' and '.join(RELEASES)}")
    model_tag = _store(name, model or RELEASES[name].RELEASED) if name in RELEASES else None
    built = subprocess.run(
        [str(Path(sys.executable).with_name("bentoml")), "build", "-f", FILES[name], "-o", "tag", "."],
        cwd=ROOT,
        env={**os.environ, "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise ImageError(f"{built.stdout}{built.stderr}{name} was not built; BentoML's output is above")
    tag = built.stdout.strip().splitlines()[-1].removeprefix("__tag__:")
    included = [str(model.tag) for model in bentoml.get(tag).info.models]
    if model_tag is not None and included != [model_tag]:
        raise ImageError(
            f"{name} was built with {included} and not with {model_tag}: is another build running? Try again"
        )
    return tag


def _store(name: str, folder: Path) -> str:
    """Copy a released model into BentoML's model store under its digest: only the files that its manifest names."""
    artifact = LOADERS[name](folder)
    tag = f"{RELEASES[name].STORE_NAME}:{artifact.digest}"
    with contextlib.suppress(bentoml.exceptions.NotFound):
        bentoml.models.delete(tag)  # created again it is the latest, which is what the bento includes
    with bentoml.models.create(tag) as model:
        for file in ("manifest.json", CARD, *artifact.manifest.files):
            if file != CARD or (artifact.folder / file).is_file():
                target = Path(model.path) / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(artifact.folder / file, target)
    return tag
