"""One budget of time per assessment, minted at the edge and handed down as what is left of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

HEADER = "X-Melalog-Deadline-Ms"


@dataclass(frozen=True)
class Deadline:
    """A point in monotonic time."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """A deadline this many seconds from now."""
        return cls(time.monotonic() + seconds)

    @classmethod
    def from_headers(cls, headers: Mapping[str, str], default_s: float) -> "Deadline":
        """What the caller has left, at most `default_s`; an unreadable header counts as none."""
        try:
            left = int(headers[HEADER]) / 1000
        except (KeyError, ValueError, OverflowError):
            left = default_s
        return cls.after(min(max(left, 0.0), default_s))

    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at - time.monotonic())

    def less(self, seconds: float) -> "Deadline":
        """An earlier deadline, to leave time for what comes after."""
        return Deadline(self.at - seconds)

    def header(self) -> dict[str, str]:
        """The header that hands it down."""
        return {HEADER: str(int(self.left() * 1000))}
