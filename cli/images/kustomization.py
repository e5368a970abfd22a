"""The `images` of a kustomization's text, edited by ruamel.yaml: comments, order and quotes stay.

Only `overlay` imports this, when a digest is written: every other command starts without ruamel.yaml.
"""

import re
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.tokens import CommentToken

NO_WRAP = 1_000_000
BESIDE_KEY, BESIDE_ITEM = 2, 0
"""Where ruamel.yaml puts the comment that follows a mapping's value, and a list's item."""


def parsed(text: str) -> Any:
    """The document as plain Python values; None where the text is not one YAML document."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return None


def with_image(text: str, values: dict[str, str]) -> str:
    """The text with this entry in its `images`: in place of the entry of the same name, or as the last one.

    Raises ValueError where the entry is shared by an anchor, because a change would reach other entries too.
    """
    yaml = _round_trip(text)
    document = yaml.load(text)
    images = document.get("images")
    if images is None:
        images = document["images"] = CommentedSeq()
    elif not images:
        images.fa.set_block_style()
    names = [item.get("name") if isinstance(item, CommentedMap) else None for item in images]
    if values["name"] in names:
        index = names.index(values["name"])
        below = _take_below(images, index)
        images[index] = _changed(images[index], values)
    else:
        index = len(images)
        below = _take_below(images, index - 1) if images else ""
        images.append(CommentedMap(values))
    _give_below(images, index, below)
    written = StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def _round_trip(text: str) -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = NO_WRAP
    yaml.explicit_start = bool(re.search(r"(?m)^---", text))
    for value in yaml.load(text).values():  # the first list shows how the file indents
        if isinstance(value, CommentedSeq) and value and not value.fa.flow_style():
            dash, item = value.lc.col, value.lc.data[0][1]
            yaml.indent(mapping=item - dash, sequence=item, offset=dash)
            break
    return yaml


def _changed(entry: CommentedMap, values: dict[str, str]) -> CommentedMap:
    """A new entry with these values, in the order and with the comments of the old one."""
    if entry.yaml_anchor() is not None or entry.merge:
        raise ValueError("the entry is shared by an anchor")
    changed = CommentedMap({key: values[key] for key in (*entry, *values) if key in values})
    changed.ca.comment = entry.ca.comment
    changed.ca.items.update({key: value for key, value in entry.ca.items.items() if key in values})
    if entry.fa.flow_style():
        changed.fa.set_flow_style()
    return changed


def _slot(images: CommentedSeq, index: int) -> tuple[dict[Any, Any], Any, int]:
    """Where the comment after an item is: with the last key of a block mapping, else with the item."""
    item = images[index]
    if isinstance(item, CommentedMap) and item and not item.fa.flow_style():
        return item.ca.items, list(item)[-1], BESIDE_KEY
    return images.ca.items, index, BESIDE_ITEM


def _take_below(images: CommentedSeq, index: int) -> str:
    """Remove and return the lines of comment between an item and what follows it; its own line keeps its comment.

    ruamel.yaml keeps both with the item's last value, and they would vanish or move with that value.
    """
    comments, key, slot = _slot(images, index)
    token = (comments.get(key) or [None] * 4)[slot]
    if token is None:
        return ""
    beside, _, below = str(token.value).partition("\n")
    if beside:
        token.value = f"{beside}\n"
    else:
        comments[key][slot] = None
    return below


def _give_below(images: CommentedSeq, index: int, below: str) -> None:
    if not below:
        return
    comments, key, slot = _slot(images, index)
    slots = comments.setdefault(key, [None] * 4)
    if slots[slot] is None:
        slots[slot] = CommentToken(f"\n{below}", CommentMark(0), None)
    else:
        slots[slot].value = f"{slots[slot].value.rstrip()}\n{below}"
