"""The overlay that runs an image: which digest it names, and a new one written into it.

`kustomize edit set image` does the same, but sorts and re-indents the file and loses comments.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.images.image_error import ImageError

OVERLAYS = Path("k8s") / "overlays"


@dataclass(frozen=True)
class Entry:
    """What an overlay says about one image: where it is, and which one."""

    repository: str
    digest: str


def find(root: Path, name: str) -> Path:
    """The overlay's kustomization.yaml; `name` is one in k8s/overlays, or a folder's path if it has a slash.

    Raises ImageError naming the overlays that exist.
    """
    file = (Path(name) if "/" in name else root / OVERLAYS / name) / "kustomization.yaml"
    if file.is_file():
        return file
    existing = sorted(path.parent.name for path in (root / OVERLAYS).glob("*/kustomization.yaml"))
    raise ImageError(f"there is no overlay {name!r} in {OVERLAYS}: {', '.join(existing) or 'it is empty'}")


def namespace(file: Path) -> str:
    """The overlay's namespace; without one, the base's."""
    return str(_read(file.read_text(), file).get("namespace", "melalog"))


def current(file: Path, image: str) -> Entry | None:
    """The digest in force; None where the overlay names no such image, or names it by tag."""
    for entry in _read(file.read_text(), file).get("images") or []:
        if isinstance(entry, dict) and entry.get("name") == image and entry.get("digest"):
            return Entry(str(entry.get("newName", image)), str(entry["digest"]))
    return None


def set_image(file: Path, image: str, entry: Entry) -> None:
    """Change or add the image's entry; comments, order and quotes stay, and the file is replaced as a whole.

    Raises ImageError, and leaves the file as it was, where it is no kustomization or an anchor shares the entry.
    """
    from cli.images import kustomization

    text = file.read_text()
    before = _read(text, file)
    values = {"name": image, "newName": entry.repository, "digest": entry.digest}
    expected = {**before, "images": _with(before.get("images") or [], values)}
    try:
        changed = kustomization.with_image(text, values)
    except ValueError:
        changed = ""
    if kustomization.parsed(changed) != expected:
        raise ImageError(
            f"{file} is written in a way that cannot be edited safely; nothing was changed. Do it with\n"
            f"  kustomize edit set image {image}={entry.repository}@{entry.digest}"
        )
    _replace(file, changed)


def _with(entries: list[Any], values: dict[str, str]) -> list[Any]:
    replaced = [values if _is(entry, values["name"]) else entry for entry in entries]
    return replaced if values in replaced else [*replaced, values]


def _is(entry: object, image: str) -> bool:
    return isinstance(entry, dict) and entry.get("name") == image


def _read(text: str, file: Path) -> dict[str, Any]:
    from cli.images import kustomization

    document = kustomization.parsed(text)
    if not isinstance(document, dict) or not isinstance(document.get("images") or [], list):
        raise ImageError(f"{file} is not a kustomization: a YAML mapping, its `images` a list")
    return document


def _replace(file: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w") as sink:
            sink.write(text)
        Path(name).chmod(file.stat().st_mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
