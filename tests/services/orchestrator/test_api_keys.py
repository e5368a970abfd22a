"""API keys: a file of hashes that is read again when it changes, and that lets nobody in when it is broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import cli.keys
from services.orchestrator import api_keys
from services.orchestrator.api_keys import ApiKeys, ApiKeysError

MELALOG = Path(sys.executable).with_name("melalog")


def write(path: Path, text: str) -> None:
    path.write_text(text)
    now = path.stat().st_mtime_ns
    os.utime(path, ns=(now, now + 1_000_000))


def test_a_key_is_known_until_its_line_is_taken_out(tmp_path: Path) -> None:
    (key, digest), (other, _), path = api_keys.new(), api_keys.new(), tmp_path / "keys"
    path.write_text(f"# machines\n\n  clinic-7   {digest}\n")
    keys = ApiKeys(path)
    assert keys.name_of(key) == "clinic-7"
    assert keys.name_of(other) is None
    assert keys.name_of(digest) is None, "the hash is not the key"
    write(path, "# nobody\n")
    assert keys.name_of(key) is None
    write(path, f"clinic-7 {digest}\n")
    assert keys.name_of(key) == "clinic-7"


@pytest.mark.parametrize("broken", ["gone", "nonsense"])
def test_a_file_that_breaks_lets_nobody_in_until_it_is_mended(tmp_path: Path, broken: str) -> None:
    (key, digest), path = api_keys.new(), tmp_path / "keys"
    path.write_text(f"a {digest}\n")
    keys = ApiKeys(path)
    if broken == "gone":
        path.unlink()
    else:
        write(path, f"a {digest}\nnonsense\n")
    assert keys.name_of(key) is None
    assert keys.name_of(key) is None, "not even the second time"
    write(path, f"a {digest}\n\n")
    assert keys.name_of(key) == "a"


@given(st.text(max_size=200))
def test_a_file_is_understood_or_refused_by_line(text: str) -> None:
    entries = [line.split() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if entries:  # chance makes no SHA-256
        with pytest.raises(ApiKeysError, match=r"line .*melalog keys new"):
            api_keys.parse(text)
    else:
        assert api_keys.parse(text) == {}


def test_a_wrong_line_is_not_repeated() -> None:
    key, _ = api_keys.new()
    with pytest.raises(ApiKeysError) as caught:
        api_keys.parse(f"# fine\nclinic {key}\n")  # the key itself, put there by mistake
    assert "line 2" in str(caught.value)
    assert key not in str(caught.value)


def test_the_command_shows_the_key_once_and_prints_its_line(tmp_path: Path) -> None:
    done = subprocess.run([str(MELALOG), "keys", "new", "clinic-7"], capture_output=True, text=True, check=True)
    key = next(line for line in done.stderr.splitlines() if line.startswith(api_keys.PREFIX))
    path = tmp_path / "keys"
    path.write_text(done.stdout)
    assert key not in done.stdout
    assert ApiKeys(path).name_of(key) == "clinic-7"
    wrong = CliRunner().invoke(cli.keys.app, ["new", "two words"])
    assert wrong.exit_code == 2
    assert "letters" in wrong.output
