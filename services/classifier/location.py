"""Where the classifier's artifact is: a setting, this checkout's release, or the bento's own model store."""

from pathlib import Path

import bentoml

from models.classifier.artifact import RELEASED

STORE_NAME = "melalog-classifier"


def artifact_folder(setting: str) -> Path:
    """A bento carries no models/released: its model came along from BentoML's store. Raises bentoml's NotFound."""
    if setting:
        return Path(setting)
    if RELEASED.is_dir():
        return RELEASED
    return Path(bentoml.models.get(f"{STORE_NAME}:latest").path)
