"""What a person can mend becomes a message; what is a mistake of ours keeps its traceback."""

import pytest
import typer

from cli import user_errors
from export.graph import HeatmapError, ParityError
from models.classifier.training.training_errors import CheckpointError, TrainingError
from models.common.artifact import ArtifactError


@pytest.mark.parametrize(
    "error",
    [
        ArtifactError("it is broken"),
        CheckpointError("it is broken"),
        TrainingError("it is broken"),
        ParityError("it is broken"),
        HeatmapError("it is broken"),
        FloatingPointError("it is broken"),
        ValueError("it is broken"),
        OSError("it is broken"),
    ],
)
def test_what_a_person_can_mend_is_said(error: Exception) -> None:
    with pytest.raises(typer.BadParameter, match="it is broken") as raised, user_errors.as_usage_errors():
        raise error
    assert raised.value.exit_code == 2


def test_a_missing_package_is_named_with_what_to_do() -> None:
    with (
        pytest.raises(typer.BadParameter, match="nosuchpackage is not installed here: run this"),
        user_errors.as_usage_errors(),
    ):
        import nosuchpackage  # type: ignore[import-not-found]  # noqa: F401, PLC0415


@pytest.mark.parametrize("error", [RuntimeError("ours"), KeyError("ours"), typer.Exit(1)])
def test_a_mistake_of_ours_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, user_errors.as_usage_errors():
        raise error
    assert raised.value is error
