"""One thing the release gate looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was looked at, and what was seen. `warns`: passed, and yet somebody should know."""

    name: str
    passed: bool
    detail: str
    warns: bool = False

    @property
    def verdict(self) -> str:
        """One word for the person who releases."""
        return ("WARNING" if self.warns else "passed") if self.passed else "REFUSED"
