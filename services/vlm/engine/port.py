"""What the vlm service asks of an engine."""

from typing import Protocol

from services.contracts import Status


class EngineFailure(Exception):  # noqa: N818
    """The engine gave no usable answer. `reason` is a fixed word; upstream text goes nowhere."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason


class VisionEngine(Protocol):
    """Answers a question about a picture with the raw distribution of its first token."""

    model: str

    async def first_token(self, picture: bytes, question: str, within_s: float) -> list[tuple[str, float]]:
        """(token, raw logprob) pairs of the most likely first tokens for a JPEG or PNG. Raises EngineFailure."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
