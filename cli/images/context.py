"""A folder from which a container engine builds, and the tag that its content gives."""

import hashlib
import shutil
from pathlib import Path

import bentoml

from cli.images.errors import ImageError
from cli.images.targets import Target

DOCKERFILE = Path(__file__).with_name("Dockerfile")
VOLATILE = {"bento.yaml", "model.yaml", "README.md", "openapi.yaml", "schema.json"}
"""Made at every build, with the time in some: what they say follows from the other files."""


def assemble(target: Target, tag: str, folder: Path) -> Path:
    """Write Dockerfile, lock, bento and its models below the folder; the bento's own Dockerfile and lock stay behind.

    Raises ImageError when the lock is not there.
    """
    if not target.lock.is_file():
        raise ImageError(f"{target.lock} is not there: `make lock` writes it")
    if target.folder is not None:
        shutil.copytree(target.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return folder
    bento = bentoml.get(tag)
    shutil.copytree(
        bento.path, folder / "bento", ignore=lambda at, _: ["env"] if Path(at) == Path(bento.path) else ["__pycache__"]
    )
    for model in bento.info.models:
        stored = bentoml.models.get(model.tag)
        shutil.copytree(stored.path, folder / "bento" / "models" / stored.tag.name / str(stored.tag.version))
    shutil.copy(DOCKERFILE, folder / "Dockerfile")
    shutil.copy(target.lock, folder / "requirements.txt")
    for path in folder.rglob("*"):  # BentoML's model store is its owner's alone, and the image's user is another
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def content_tag(folder: Path, base: str = "") -> str:
    """16 hexadecimal digits that are the same for the same code, model, lock, Dockerfile and base image."""
    whole = hashlib.sha256(base.encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in VOLATILE:
            whole.update(f"\0{path.relative_to(folder).as_posix()}\0".encode())
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]
