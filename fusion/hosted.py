"""The hosted model's port and its adapter to any OpenAI-compatible server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol, cast

import httpx2
import openai

from fusion.prompt import HostedAnswer, UnusableAnswer, messages, parse
from fusion.rules import Decision

REPAIR_NEEDS_S = 2.0
MAX_TOKENS = 500
MAX_ANSWER_BYTES = 100_000
"""As sent. The SDK would read an endless answer into memory until the deadline."""


class HostedFailure(RuntimeError):  # noqa: N818
    """The hosted model did not give a usable answer in time; `reason` is a fixed word for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Explainer(Protocol):
    """Writes the explanation of a decision that is already made."""

    model: str

    async def explain(self, decision: Decision, within_s: float) -> HostedAnswer:
        """Raises HostedFailure; never takes longer than `within_s` seconds."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class OpenAIExplainer:
    """Llama 3.3 by default, at whatever host the settings name. Hosts retire models: that is `model_not_found`."""

    def __init__(self, base_url: str, api_key: str, model: str) -> None:
        self.model = model
        # One call is one request to the host that was named: the SDK would follow redirects, and retry beyond our
        # deadline. A key read from a file often ends in a newline, which no header may.
        http = openai.DefaultAsyncHttpxClient(follow_redirects=False, event_hooks={"response": [_cap]})
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key.strip(), max_retries=0, http_client=http)

    async def explain(self, decision: Decision, within_s: float) -> HostedAnswer:
        """One call, and one repair if it is worth it and two seconds are left."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        chat = messages(decision)
        try:
            async with asyncio.timeout_at(end):
                text = await self._ask(chat)
                try:
                    return parse(text, decision)
                except UnusableAnswer as error:
                    if end - loop.time() < REPAIR_NEEDS_S:
                        raise
                    repair = {"role": "user", "content": f"That answer cannot be used: {error}. Send the JSON again."}
                    return parse(
                        await self._ask([*chat, {"role": "assistant", "content": text[:2000]}, repair]), decision
                    )
        except UnusableAnswer as error:
            raise HostedFailure("unusable_answer") from error
        except TimeoutError as error:
            raise HostedFailure("timeout") from error
        except openai.APIError as error:
            raise HostedFailure(_reason(error)) from error
        except _NOT_A_COMPLETION as error:
            raise HostedFailure("garbage") from error

    async def _ask(self, chat: list[dict[str, str]]) -> str:
        answer = await self._client.chat.completions.create(
            model=self.model,
            messages=cast("Any", chat),
            temperature=0.2,
            max_tokens=MAX_TOKENS,
            response_format={"type": "json_object"},
        )
        choice = answer.choices[0]
        if choice.finish_reason == "length":
            raise UnusableAnswer("it was cut off at the length limit")
        return choice.message.content or ""

    async def close(self) -> None:
        """Close the connection pool."""
        await self._client.close()


_NOT_A_COMPLETION = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What the SDK, or we, stumble into when a body is something else: it reads answers without checking them."""


class _Capped(httpx2.AsyncByteStream):
    """A body that ends in ValueError when it is longer than any chat completion."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for part in self._body:
            seen += len(part)
            if seen > MAX_ANSWER_BYTES:
                raise ValueError("the answer is too long")
            yield part

    async def aclose(self) -> None:
        await self._body.aclose()


async def _cap(response: httpx2.Response) -> None:
    response.stream = _Capped(cast("httpx2.AsyncByteStream", response.stream))


def _reason(error: openai.APIError) -> str:
    """A fixed word per kind of failure: upstream text goes nowhere."""
    kinds: tuple[tuple[type[openai.APIError], str], ...] = (
        (openai.APITimeoutError, "timeout"),
        (openai.AuthenticationError, "unauthorized"),
        (openai.PermissionDeniedError, "unauthorized"),
        (openai.NotFoundError, "model_not_found"),
        (openai.RateLimitError, "rate_limited"),
        (openai.InternalServerError, "server_error"),
        (openai.APIConnectionError, "connection"),
    )
    return next((word for kind, word in kinds if isinstance(error, kind)), "refused")
