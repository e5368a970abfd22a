"""The result of one check of the release gate."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReleaseCheck:
    """Name, outcome and measured detail. `warns`: passed with a warning."""

    name: str
    passed: bool
    detail: str
    warns: bool = False

    @property
    def verdict(self) -> str:
        """One word for the console."""
        return ("WARNING" if self.warns else "passed") if self.passed else "REFUSED"
