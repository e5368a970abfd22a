"""Files and folders replaced as a whole: a reader, or a crash, meets the old one or the new one and nothing between."""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".unfinished"
"""Of a file or a folder on its way, beside its target: on the same file system, so that a rename is one step."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def sync(path: Path) -> None:
    """Have a file, or a folder's list of names, on disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write a file to; it takes the target's place when all is on disk, and is removed after an error."""
    unfinished = target.with_name(target.name + SUFFIX)
    try:
        yield unfinished
        sync(unfinished)
        unfinished.replace(target)
        sync(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Replace a file's content as a whole; UTF-8."""
    with replacing(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """An empty folder to fill; it takes the target's name when all is on disk, and is removed after an error.

    Raises OSError where the target exists by then and is not an empty folder.
    """
    unfinished = target.with_name(target.name + SUFFIX)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        for path in (*unfinished.rglob("*"), unfinished):
            sync(path)
        unfinished.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Put `new` in the place of `target`, which may not exist yet; both stand on one file system.

    On Linux the two names are exchanged in one step. Where the file system cannot do that, a failure puts the old
    folder back. Raises OSError.
    """
    for path in (*new.rglob("*"), new):
        sync(path)
    if not target.exists():
        new.rename(target)
    elif _exchange(new, target):
        shutil.rmtree(new)
    else:
        _rename_twice(new, target)
    sync(target.parent)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names by renameat2; False where the system has no such call or the file system no such flag."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    failed: int = rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return failed == 0


def _rename_twice(new: Path, target: Path) -> None:
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)
