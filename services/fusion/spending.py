"""A cap on what the hosted model may cost in a day; beyond it the rules' own words answer, and the answer says so."""

from collections.abc import Callable
from datetime import UTC, date, datetime

from fusion.bounds import HostedAnswer
from fusion.briefing import Briefing
from services.fusion.engine.hosted import Explainer, HostedFailure, Meter


def _today() -> date:
    return datetime.now(UTC).date()


class Spending:
    """A Meter that also adds up a day's tokens (UTC). Per process: n replicas spend n times the cap."""

    def __init__(self, meter: Meter, tokens_per_day: int, today: Callable[[], date] = _today) -> None:
        """`tokens_per_day`: 0 is no cap."""
        self._meter, self._cap, self._today = meter, tokens_per_day, today
        self._day, self._tokens = today(), 0

    @property
    def left(self) -> bool:
        """Whether another explanation may be asked for; the one that crosses the cap is still finished."""
        return self._cap == 0 or self._of_today() < self._cap

    def spent(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Of one request."""
        self._tokens = self._of_today() + prompt_tokens + completion_tokens
        self._meter.spent(prompt_tokens, completion_tokens)

    def refused(self, rule: str) -> None:
        """Handed on."""
        self._meter.refused(rule)

    def _of_today(self) -> int:
        if self._today() != self._day:
            self._day, self._tokens = self._today(), 0
        return self._tokens


class Capped:
    """An Explainer that is asked only while the day's tokens last."""

    def __init__(self, explainer: Explainer, spending: Spending) -> None:
        self._explainer, self._spending = explainer, spending
        self.model = explainer.model

    async def explain(self, briefing: Briefing, within_s: float) -> HostedAnswer:
        """Raises HostedFailure, `budget` when the day's tokens are spent: nothing is sent then."""
        if not self._spending.left:
            raise HostedFailure("budget")
        return await self._explainer.explain(briefing, within_s)

    async def close(self) -> None:
        """Let go of connections."""
        await self._explainer.close()
