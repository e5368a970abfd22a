"""The hosted model's key, as it is at the moment: a mounted Secret changes under a running process."""

import structlog

from services.common.settings import Settings


class Key:
    """Called for every explanation: a file of a hundred bytes, before a request that takes seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._last = settings, ""

    def __call__(self) -> str:
        """The key; empty: there is none, and the rules explain. A file that cannot be read leaves the one before."""
        try:
            self._last = self._settings.llm_key
        except (OSError, UnicodeError):
            structlog.get_logger().error("hosted model's key unreadable", dependency="llm", reason="file")
        return self._last
