"""The web build in the repository is the one of the current sources. Needs no Node."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRONTEND, BUNDLE = ROOT / "frontend", ROOT / "services/orchestrator/app"
DIGEST = FRONTEND / "scripts/digest.py"
RECORDED = json.loads((FRONTEND / "bundle.json").read_text("utf-8"))
SOURCES = ("app.json", "package.json", "package-lock.json", "tsconfig.json", "scripts", "src")


def digests(*folders: Path) -> dict[str, str]:
    """What `make frontend` records, for these folders (frontend, bundle)."""
    done = subprocess.run([sys.executable, DIGEST, *folders], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The sources of the build, to be changed."""
    for name in SOURCES:
        path = FRONTEND / name
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, tmp_path / name)
    return tmp_path


def test_the_bundle_was_built_from_these_sources() -> None:
    assert digests()["sources"] == RECORDED["sources"], "run `make frontend` (Node 20) and commit what it wrote"


def test_the_bundle_is_the_one_that_was_built() -> None:
    assert digests()["bundle"] == RECORDED["bundle"], "run `make frontend` (Node 20) and commit all that it wrote"


@pytest.mark.parametrize(
    "name", ["src/strings/en.json", "src/client/sdk.gen.ts", "src/app/index.tsx", "package-lock.json", "app.json"]
)
def test_a_changed_source_changes_the_digest(copied: Path, name: str) -> None:
    assert digests(copied, BUNDLE)["sources"] == RECORDED["sources"]
    (copied / name).write_text((copied / name).read_text("utf-8") + " ", "utf-8")
    assert digests(copied, BUNDLE)["sources"] != RECORDED["sources"]


def test_an_added_or_renamed_source_changes_the_digest(copied: Path) -> None:
    (copied / "src/new.ts").write_text("")
    added = digests(copied, BUNDLE)["sources"]
    (copied / "src/new.ts").rename(copied / "src/newer.ts")
    assert len({added, digests(copied, BUNDLE)["sources"], RECORDED["sources"]}) == 3


def test_types_are_erased_by_the_build_and_left_out_of_the_digest(copied: Path) -> None:
    (copied / "src/client/types.gen.ts").write_text("export type Assessment = never;")
    assert digests(copied, BUNDLE)["sources"] == RECORDED["sources"]


def test_the_bundle_stays_small() -> None:
    assert sum(path.stat().st_size for path in BUNDLE.rglob("*")) < 2_000_000
