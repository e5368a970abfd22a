"""Where a released model is: a setting, this checkout's release, or the model a bento was built with."""

from pathlib import Path

import bentoml
import yaml

BENTO = Path(__file__).parents[3] / "bento.yaml"
"""A bento's sources stand in its folder `src`."""


def artifact_folder(setting: str, released: Path, store_name: str) -> Path:
    """A bento carries no models/released: its model is in the image's bento, or in BentoML's store by exact tag.

    Raises bentoml's NotFound when that model is not there.
    """
    if setting:
        return Path(setting)
    if released.is_dir():
        return released
    models = yaml.safe_load(BENTO.read_text())["models"]
    tag = next(model["tag"] for model in models if model["tag"].startswith(f"{store_name}:"))
    inside = BENTO.parent / "models" / tag.replace(":", "/")
    return inside if inside.is_dir() else Path(bentoml.models.get(tag).path)
