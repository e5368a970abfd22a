"""Print SHA-256 digests of the web build's sources and of the build in services/orchestrator/app, as JSON.

`make frontend` writes them to frontend/bundle.json; tests/app/test_bundle.py compares. Needs Python only.
Usage: digest.py [FRONTEND_DIR BUNDLE_DIR]
"""  # noqa: INP001

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

FRONTEND = Path(__file__).parents[1]
BUNDLE = FRONTEND.parent / "services/orchestrator/app"
SOURCES = (
    "app.json",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "scripts/export.mjs",
    "scripts/publish.mjs",
    "src",
)
NOT_BUILT = ("src/client/types.gen.ts", "scripts/client-check.mjs", "scripts/print_openapi.py")
"""Types, which the build erases (a reworded description in the API needs no new bundle), and checks."""


def files(folder: Path, *names: str) -> Iterator[str]:
    """Paths below `folder`, sorted, `/`-separated; hidden files left out."""
    for name in names:
        path = folder / name
        inside = (one.relative_to(folder) for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file())
        yield from sorted(one.as_posix() for one in inside if not one.name.startswith("."))


def digest(folder: Path, *names: str) -> str:
    """SHA-256 over name, size and bytes of each file. Raises: FileNotFoundError."""
    total = hashlib.sha256()
    for name in files(folder, *names):
        if name not in NOT_BUILT and "__pycache__" not in name:
            content = (folder / name).read_bytes()
            total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


if __name__ == "__main__":
    frontend, bundle = map(Path, sys.argv[1:] or (FRONTEND, BUNDLE))
    digests = {"sources": digest(frontend, *SOURCES), "bundle": digest(bundle, ".")}
    sys.stdout.write(json.dumps(digests, indent=2) + "\n")
