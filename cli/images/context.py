"""The build context of an image, and the image tag computed from its content."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import bentoml

from cli.images.image_error import ImageError
from cli.images.targets import Target

DOCKERFILE = Path(__file__).with_name("Dockerfile")
VOLATILE = {"bento.yaml", "model.yaml", "README.md", "openapi.yaml", "schema.json"}
"""Written at every build, some with the time; all they contain follows from the other files."""

# BentoML's random version, its clock and the files' times are fixed: the same content must give the same layer and
# digest, or every build would be a rollout of nothing new.
STAMPED = {"bento.yaml", "model.yaml"}
STAMP, VERSION = re.compile(r"(?m)^( *creation_time): .*$"), re.compile(r"(?m)^version: [a-z2-7]{16}$")
LEFT_OUT = ("__pycache__", "node_modules", "dist", ".expo", "ios", "android")
EPOCH = 315532800  # 1980, the oldest that every archive can hold


def assemble(target: Target, tag: str, folder: Path) -> Path:
    """Write Dockerfile, lock, bento and its models into the folder; the bento's own Dockerfile and lock are left out.

    Raises ImageError when there is no lock.
    """
    if not target.lock.is_file():
        raise ImageError(f"{target.lock} does not exist: `make lock` writes it")
    if target.folder is not None:
        for part in target.parts or ("",):
            ignored = shutil.ignore_patterns(*LEFT_OUT)
            shutil.copytree(target.folder / part, folder / part, dirs_exist_ok=True, ignore=ignored)
        if target.dockerfile is not None:
            shutil.copy(target.dockerfile, folder / "Dockerfile")
            (folder / target.locked).parent.mkdir(exist_ok=True)
            shutil.copy(target.lock, folder / target.locked)
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
    for path in folder.rglob("*"):
        if path.name in STAMPED:
            path.write_text(
                STAMP.sub(r"\1: '1980-01-01T00:00:00+00:00'", VERSION.sub("version: image", path.read_text()))
            )
        # BentoML's model store is readable by its owner only, and the image runs as another user.
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))
    return folder


def content_tag(folder: Path, arguments: Mapping[str, str]) -> str:
    """16 hexadecimal digits that are the same for the same code, model, lock, Dockerfile and build arguments."""
    content = hashlib.sha256(repr(sorted(arguments.items())).encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in VOLATILE:
            content.update(f"\0{path.relative_to(folder).as_posix()}\0".encode())
            content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:16]
