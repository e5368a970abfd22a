"""What the component `known-answer` expects, asked of the four services with the released models."""

from typer.testing import CliRunner

from cli.check_known_answer import EXPECTED
from cli.main import app
from cli.processes import ROOT
from services.probes import known_answer
from tests.conftest import Running


def test_the_released_models_answer_is_recorded(system: Running) -> None:
    """Else the component would fail from the first hour on. After a release: `melalog known-answer --record`."""
    answer = CliRunner().invoke(app, ["known-answer", "--url", system.url, "--expected", str(ROOT / EXPECTED)])
    assert answer.exit_code == known_answer.SAME, answer.output
