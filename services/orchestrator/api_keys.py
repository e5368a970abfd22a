"""API keys for machines: 256 random bits each, of which the file that is named by setting holds SHA-256 and a name.

A slow hash would add nothing: it is for passwords that can be guessed, and 256 bits cannot.
"""

import hashlib
import re
import secrets
from pathlib import Path

import structlog

PREFIX = "melalog_"
"""Tells a key from a token, and lets scanners for leaked secrets know it."""
LINE = re.compile(r"([A-Za-z0-9._-]{1,64})\s+([0-9a-f]{64})")


class ApiKeysError(Exception):
    """The file cannot be used; says which line and why."""


def new() -> tuple[str, str]:
    """A key and its digest. The key is kept nowhere."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, digest(key)


def digest(key: str) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def parse(text: str) -> dict[str, str]:
    """Names by digest. One `NAME DIGEST` a line; blank lines and those that begin with # are passed over."""
    names = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        if found is None:
            raise ApiKeysError(f"line {number} is not NAME and a SHA-256; `melalog keys new NAME` prints one")
        names[found[2]] = found[1]
    return names


class ApiKeys:
    """The keys in a file, which is read again when it changes: a key is taken back without a restart."""

    def __init__(self, path: Path) -> None:
        """Raises ApiKeysError."""
        self._path, self._stamp = path, (0, 0, 0)
        self._names: dict[str, str] = {}
        self._read()

    def name_of(self, key: str) -> str | None:
        """Name of the key's line. A file that has become unusable lets nobody in."""
        try:
            self._read()
        except ApiKeysError:
            structlog.get_logger().error("api keys unusable", reason="file")
            return None
        return self._names.get(digest(key))

    def _read(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._names = parse(self._path.read_text(encoding="utf-8"))
                self._stamp = stamp
        except (OSError, UnicodeError) as error:
            raise ApiKeysError(f"{self._path} cannot be read: {type(error).__name__}") from error
