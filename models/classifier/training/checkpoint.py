"""All that a killed run needs to go on exactly where it stopped."""

from pathlib import Path
from typing import Any

import torch

from models.classifier.training.training_errors import CheckpointError
from models.common.files import replacing

LAST = "last.pt"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write to a temporary name, then rename. Raises CheckpointError; what was there before is untouched then."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            torch.save(state, unfinished)
    except (OSError, RuntimeError) as error:  # torch says RuntimeError when the disk is full
        raise CheckpointError(
            f"cannot write {path} ({str(error).splitlines()[0]}): is the disk full? What was saved before is still "
            "there: make room and give the same command again"
        ) from error


def load(path: Path, run: dict[str, Any]) -> dict[str, Any] | None:
    """The state, None where there is none. Raises CheckpointError for a broken file, ValueError for another run's."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        of_run = state["run"]
    except Exception as error:  # torch's unpickler raises anything for bytes that are no pickle
        raise CheckpointError(f"{path} is no checkpoint of this program: move it away to start anew") from error
    other = sorted(key for key in run if of_run.get(key) != run[key])
    if other:
        what = ", ".join(f"another {key}" for key in other)
        raise ValueError(f"{path} was made with {what}: choose another --out folder, or go back to that one")
    return state
