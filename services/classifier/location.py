"""Where the classifier's artifact is: a setting, this checkout's release, or the model its bento was built with."""

from pathlib import Path

import bentoml
import yaml

from models.classifier.artifact import RELEASED

STORE_NAME = "melalog-classifier"
BENTO = Path(__file__).parents[3] / "bento.yaml"
"""A bento's sources stand in its folder `src`."""


def artifact_folder(setting: str) -> Path:
    """A bento carries no models/released: its model came along from BentoML's store, and is asked for by exact tag.

    Raises bentoml's NotFound when that model is not there.
    """
    if setting:
        return Path(setting)
    if RELEASED.is_dir():
        return RELEASED
    models = yaml.safe_load(BENTO.read_text())["models"]
    tag = next(model["tag"] for model in models if model["tag"].startswith(f"{STORE_NAME}:"))
    return Path(bentoml.models.get(tag).path)
