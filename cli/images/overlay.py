"""Write an image's digest into an overlay, as `kustomize edit set image` does, and touch nothing else in the file.

Kustomize's own command sorts and re-indents the file and loses comments; PyYAML says where an entry stands, and only
those characters change.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.images.image_error import ImageError

OVERLAYS = Path("k8s") / "overlays"


@dataclass(frozen=True)
class Entry:
    """What an overlay says about one image."""

    repository: str
    digest: str


def find(root: Path, name: str) -> Path:
    """The overlay's kustomization.yaml: `name` is a folder's, if it has a slash, or one of ours.

    Raises ImageError naming those that exist.
    """
    file = (Path(name) if "/" in name else root / OVERLAYS / name) / "kustomization.yaml"
    if file.is_file():
        return file
    found = sorted(path.parent.name for path in (root / OVERLAYS).glob("*/kustomization.yaml"))
    raise ImageError(f"there is no overlay {name!r} in {OVERLAYS}: {', '.join(found) or 'it is empty'}")


def namespace(file: Path) -> str:
    """The namespace that the overlay names, else that of the base."""
    return str(_read(file.read_text(), file).get("namespace", "melalog"))


def current(file: Path, image: str) -> Entry | None:
    """What stands there now by digest; None where the image is not named or by a tag."""
    for entry in _read(file.read_text(), file).get("images") or []:
        if isinstance(entry, dict) and entry.get("name") == image and entry.get("digest"):
            return Entry(str(entry.get("newName", image)), str(entry["digest"]))
    return None


def set_image(file: Path, image: str, entry: Entry) -> None:
    """Change or add the image's entry: the whole file at once, or, when it cannot be done safely, not at all.

    Raises ImageError when the file is no kustomization, or one that only kustomize itself should edit.
    """
    text = file.read_text()
    before = _read(text, file)
    wanted = {"digest": entry.digest, "name": image, "newName": entry.repository}
    after = {**before, "images": _with(before.get("images") or [], wanted)}
    changed = _spliced(text, image, wanted)
    if _parsed(changed) != after:
        raise ImageError(
            f"{file} is written in a way that is not edited here; nothing was changed. Do it with\n"
            f"  kustomize edit set image {image}={entry.repository}@{entry.digest}"
        )
    _replace(file, changed)


def _with(entries: list[Any], wanted: dict[str, str]) -> list[Any]:
    kept = [wanted if _is(entry, wanted["name"]) else entry for entry in entries]
    return kept if wanted in kept else [*kept, wanted]


def _is(entry: object, image: str) -> bool:
    return isinstance(entry, dict) and entry.get("name") == image


def _read(text: str, file: Path) -> dict[str, Any]:
    found = _parsed(text)
    if not isinstance(found, dict) or not isinstance(found.get("images") or [], list):
        raise ImageError(f"{file} is not a kustomization: a YAML mapping, its `images` a list")
    return found


def _parsed(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _spliced(text: str, image: str, wanted: dict[str, str]) -> str:
    """The text with the entry in it."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    images = next((value for key, value in pairs if key.value == "images"), None)
    if images is None:
        return f"{text.rstrip()}\n\nimages:\n{_block(wanted, 2)}\n" if text.strip() else text
    if not isinstance(images, yaml.SequenceNode) or not images.value or images.flow_style:
        entries = _with((yaml.safe_load(text)["images"]) or [], wanted)
        dumped = "\n".join(_block(entry, 2) for entry in entries)
        return f"{text[: images.start_mark.index].rstrip(' ')}\n{dumped}{text[_end(images) :]}"
    column = images.start_mark.column
    for node in images.value:
        if any(key.value == "name" and value.value == image for key, value in getattr(node, "value", [])):
            at = node.start_mark  # its first key: as far from the dash as whoever wrote the file likes it
            return text[: at.index] + _block(wanted, at.column - 2).lstrip(" -") + text[_end(node) :]
    end = _end(images)
    return f"{text[:end]}\n{_block(wanted, column)}{text[end:]}"


def _end(node: yaml.Node) -> int:
    """Where its last scalar ends: a block's own end mark is after the comments that follow it."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        return int(node.end_mark.index)
    children = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    return max(map(_end, children), default=int(node.end_mark.index))


def _block(entry: Any, column: int) -> str:
    """One list item in kustomize's own form: block style, keys sorted."""
    lines = yaml.safe_dump(entry, sort_keys=True, width=1000).rstrip().removesuffix("\n...").splitlines()
    return "\n".join(" " * column + ("- " if index == 0 else "  ") + line for index, line in enumerate(lines))


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
