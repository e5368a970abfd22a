"""A training plan on disk, and changes to it from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).parents[1] / "configs"


def read(path: Path | str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The keys of a YAML file, or of a shipped plan by its name, after `key.key=value` changes.

    Raises FileNotFoundError naming the plans there are, ValueError for a file or a change that cannot be read.
    """
    file = Path(path)
    if not file.is_file():
        file = CONFIGS / f"{path}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(found.stem for found in CONFIGS.glob("*.yaml")))
        raise FileNotFoundError(f"no plan {path}: name a YAML file, or one of {known}")
    try:
        plan = yaml.safe_load(file.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not YAML: {error}") from None
    if not isinstance(plan, dict):
        raise ValueError(f"{file} must hold keys and values")  # noqa: TRY004  (what is in a file is not a type)
    for change in changes:
        _apply(plan, change)
    return plan


def _apply(plan: dict[str, Any], change: str) -> None:
    key, separator, value = change.partition("=")
    if not separator or not all(key.split(".")):
        raise ValueError(f"--set {change}: write key=value, as in optimiser.lr=1e-3 or stages.0.epochs=2")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"--set {change}: {value} is not YAML") from None
    *path, last = key.split(".")
    part: Any = plan
    for name in path:
        part = _inside(part, name, change)
    if isinstance(part, list):
        part[_index(part, last, change)] = parsed
    else:
        part[last] = parsed


def _inside(part: Any, name: str, change: str) -> Any:
    """The part of this name, made where there is none yet."""
    if isinstance(part, list):
        inner = part[_index(part, name, change)]
    else:
        if part.get(name) is None:
            part[name] = {}
        inner = part[name]
    if not isinstance(inner, dict | list):
        raise ValueError(f"--set {change}: {name} has no keys of its own")  # noqa: TRY004
    return inner


def _index(part: list[Any], name: str, change: str) -> int:
    if not name.isdecimal() or int(name) >= len(part):
        raise ValueError(f"--set {change}: {name} must be a number below {len(part)}")
    return int(name)
