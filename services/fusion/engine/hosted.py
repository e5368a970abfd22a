"""The hosted model's port and its adapter to any OpenAI-compatible server."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

import openai

from fusion import prompt
from fusion.bounds import HostedAnswer, UnusableAnswer, parse
from fusion.briefing import Briefing
from fusion.policy import Level
from services.fusion.engine import completion
from services.fusion.engine.completion import Completion, Format

RETRY_NEEDS_S = 2.0
"""A repair or a retry is tried only when this is left: a 70B model needs it for its shortest answer."""
MAX_REQUESTS = 3
"""Per explanation, whatever the reasons: another format, a busy server, a repair."""
FORMAT_MEMORY_S = 600.0
"""How long a refused response format is skipped; then it is tried again, because one 400 may be an accident."""
REASONS = (
    "unauthorized", "model_not_found", "rate_limited", "quota", "server_error", "rejected", "connection",
    "connect_timeout", "timeout", "garbage", "refusal", "unusable_answer", "budget",
)  # fmt: skip
"""Every word a HostedFailure may carry."""


class HostedFailure(RuntimeError):  # noqa: N818
    """The hosted model did not give a usable answer in time.

    `reason` is one of REASONS, for the log; `proposed` the level of an answer that was otherwise refused.
    """

    def __init__(self, reason: str, proposed: Level | None = None) -> None:
        super().__init__(reason)
        self.reason, self.proposed = reason, proposed


class Meter(Protocol):
    """Is told what explanations cost, and which rule an answer broke."""

    def spent(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Of one request."""
        ...

    def refused(self, rule: str) -> None:
        """One answer was not used: "refusal" when the model declined, else the rule it broke."""
        ...


class Explainer(Protocol):
    """Weighs and explains a decision that is already made."""

    model: str

    async def explain(self, briefing: Briefing, within_s: float) -> HostedAnswer:
        """Raises HostedFailure; never takes longer than `within_s` seconds."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class OpenAIExplainer:
    """Llama 3.3 by default, at whatever host the settings name. Hosts retire models: that is `model_not_found`."""

    def __init__(
        self,
        base_url: str,
        api_key: str | Callable[[], str],
        model: str,
        response_format: Literal["auto"] | Format = "auto",
        meter: Meter | None = None,
        headers: Callable[[], dict[str, str]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`api_key`: may be asked for anew at every request, so that a key is changed without a restart.

        `headers`: sent along with each request, such as a trace's.
        """
        self.model, self._meter, self._headers = model, meter, headers
        self._client = completion.client(base_url, api_key)
        self._all_forms = completion.FORMATS if response_format == "auto" else (response_format,)
        self._forms, self._forms_until, self._clock = self._all_forms, 0.0, clock

    async def explain(self, briefing: Briefing, within_s: float) -> HostedAnswer:
        """One call, and one repair if it is worth it and two seconds are left."""
        budget = _Budget(asyncio.get_running_loop().time() + within_s)
        try:
            async with asyncio.timeout_at(budget.end):
                return await self._answer(briefing, budget)
        except UnusableAnswer as error:
            proposed = error.proposed or budget.proposed
            raise HostedFailure(error.rule if error.rule == "refusal" else "unusable_answer", proposed) from error
        except TimeoutError as error:
            raise HostedFailure("timeout", budget.proposed) from error
        except openai.APIError as error:
            raise HostedFailure(completion.reason(error), budget.proposed) from error
        except completion.NOT_A_COMPLETION as error:
            raise HostedFailure("garbage", budget.proposed) from error

    async def _answer(self, briefing: Briefing, budget: "_Budget") -> HostedAnswer:
        schema = prompt.schema(list(briefing.reasons))
        first = await self._ask(prompt.messages(briefing), schema, budget)
        try:
            return self._read(first, briefing)
        except UnusableAnswer as error:
            budget.proposed = error.proposed
            if not budget.allows():
                raise
            chat = prompt.repair(briefing, first.text, str(error))
        return self._read(await self._ask(chat, schema, budget), briefing)

    def _read(self, answer: Completion, briefing: Briefing) -> HostedAnswer:
        try:
            return _whole(answer, briefing)
        except UnusableAnswer as error:
            if self._meter is not None:
                self._meter.refused(error.rule)
            raise

    async def _ask(self, chat: list[dict[str, str]], schema: dict[str, Any], budget: "_Budget") -> Completion:
        """One answer; a busy server is tried once more, and a format it refuses is given up for the next."""
        forms, retried = self._usable_forms(), False
        first = forms[0]
        while True:
            budget.requests += 1
            sent = completion.body(self.model, chat, schema, forms[0])
            try:
                answer = await completion.complete(self._client, sent, self._headers())
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                if len(forms) == 1 or not budget.allows():
                    raise
                forms = forms[1:]
            except openai.APIStatusError as error:
                wait = completion.wait_before_retry(error)
                if wait is None or retried or not budget.allows(wait):
                    raise
                retried = True
                await asyncio.sleep(wait)
            else:
                if forms[0] != first:
                    self._forms, self._forms_until = forms, self._clock() + FORMAT_MEMORY_S
                if self._meter is not None:
                    self._meter.spent(answer.prompt_tokens, answer.completion_tokens)
                return answer

    def _usable_forms(self) -> tuple[Format, ...]:
        """Those not refused lately, the strictest first."""
        return self._forms if self._clock() < self._forms_until else self._all_forms

    async def close(self) -> None:
        """Close the connection pool."""
        await self._client.close()


def _whole(answer: Completion, briefing: Briefing) -> HostedAnswer:
    if answer.refused:
        raise UnusableAnswer("refusal", "it refuses")
    if answer.finish == "length":
        raise UnusableAnswer("truncated", "it was cut off at the length limit; be briefer")
    return parse(answer.text, briefing)


class _Budget:
    """What one explanation may still use."""

    def __init__(self, end: float) -> None:
        self.end, self.requests = end, 0
        self.proposed: Level | None = None
        """The level of an answer that was refused, whatever comes of its repair."""

    def allows(self, wait_s: float = 0.0) -> bool:
        """Whether one more request, after this wait, is worth it."""
        left = self.end - asyncio.get_running_loop().time()
        return self.requests < MAX_REQUESTS and left - wait_s >= RETRY_NEEDS_S
