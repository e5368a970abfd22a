"""What can go wrong outside the code, as one message and exit status 2 instead of a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

ERRORS = {
    "models.common.artifact": ("ArtifactError",),
    "models.classifier.training.training_errors": ("TrainingError",),  # CheckpointError among them
    "cli.images.image_error": ("ImageError",),
    "export.graph": ("ParityError", "HeatmapError"),
}
"""By module: the package's own errors that a person can do something about. None is imported for this."""


@contextmanager
def as_usage_errors() -> Iterator[None]:
    """Say what is missing, wrong, full or broken. Anything else is a mistake of ours, and keeps its traceback."""
    try:
        yield
    except ImportError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed here: run this from the environment `make .venv/installed` makes"
        ) from None
    # a missing file or a full disk; a wrong key, label or picture; a rate too high
    except (OSError, ValueError, FloatingPointError) as error:
        raise typer.BadParameter(str(error)) from None
    except RuntimeError as error:
        if not isinstance(error, _known()):
            raise
        raise typer.BadParameter(str(error)) from None


def _known() -> tuple[type[Exception], ...]:
    loaded = [(sys.modules[module], names) for module, names in ERRORS.items() if module in sys.modules]
    return tuple(getattr(module, name) for module, names in loaded for name in names)
