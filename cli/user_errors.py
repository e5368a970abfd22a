"""Errors that the user can fix, shown as one message with exit status 2 instead of a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

USER_ERRORS = {
    "models.common.artifact": ("ArtifactError",),
    "models.classifier.training.training_errors": ("TrainingError",),  # CheckpointError among them
    "cli.images.image_error": ("ImageError",),
    "export.graph": ("ParityError", "HeatmapError"),
    "export.vlm_layout": ("CheckpointLayoutError",),
    "models.vlm.vlm_errors": ("VlmError",),
}
"""Our own errors that the user can fix, by module. A module that was never imported cannot have raised one."""


@contextmanager
def as_usage_errors() -> Iterator[None]:
    """Turn what the user can fix into a usage error. Any other exception is a bug, and keeps its traceback."""
    try:
        yield
    except ImportError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
        ) from None
    # A missing file or a full disk; a wrong key, label or image; a learning rate too high.
    except (OSError, ValueError, FloatingPointError) as error:
        raise typer.BadParameter(str(error)) from None
    except RuntimeError as error:
        if not isinstance(error, _user_error_types()):
            raise
        raise typer.BadParameter(str(error)) from None


def _user_error_types() -> tuple[type[Exception], ...]:
    loaded = [(sys.modules[module], names) for module, names in USER_ERRORS.items() if module in sys.modules]
    return tuple(getattr(module, name) for module, names in loaded for name in names)
