"""Every command explains itself, and the program knows its version."""

from importlib.metadata import version

import click
import pytest
import typer
from typer.testing import CliRunner

from cli.main import app


def commands(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The arguments that lead to every command and group."""
    below = getattr(group, "commands", {})
    return [path, *(found for name, command in below.items() for found in commands(command, (*path, name)))]


@pytest.mark.parametrize("path", commands(typer.main.get_command(app)), ids=" ".join)
def test_help_of_every_command(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(app, [*path, "--help"], catch_exceptions=False)
    assert answer.exit_code == 0
    assert "Usage:" in answer.output


def test_its_version() -> None:
    answer = CliRunner().invoke(app, ["--version"])
    assert answer.exit_code == 0
    assert answer.output.strip() == f"melalog {version('melalog')}"
