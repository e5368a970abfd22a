"""One chat completion from an OpenAI-compatible server: what is sent, what may come back, how a failure is called."""

import math
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Literal, cast

import httpx2
import openai

from fusion import prompt

Format = Literal["json_schema", "json_object", "none"]
FORMATS: tuple[Format, ...] = ("json_schema", "json_object", "none")
MAX_TOKENS = 700
"""Four sentences, three questions and their JSON are about 300; German takes more."""
MAX_ANSWER_BYTES = 100_000
"""As sent. The SDK would read an endless answer into memory until the deadline."""
CONNECT_S = 2.0
DEFAULT_WAIT_S, JITTER_S = 0.5, 0.5
"""Before the one retry of a busy server that does not say when to come back."""

NOT_A_COMPLETION = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What the SDK, or we, stumble into when a body is something else: it reads answers without checking them."""


@dataclass(frozen=True)
class Completion:
    """What was written; `finish` is the server's word for why it ended, `refused` whether the model declined."""

    text: str
    finish: str
    refused: bool
    prompt_tokens: int
    completion_tokens: int


def body(model: str, chat: list[dict[str, str]], schema: dict[str, Any], form: Format) -> dict[str, Any]:
    """The request's JSON, exactly as sent; the schema stands in the prompt whatever the format."""
    sent: dict[str, Any] = {"model": model, "messages": chat, "temperature": 0.2, "max_tokens": MAX_TOKENS}
    if form == "json_schema":
        name = f"melalog_{prompt.VERSION.replace('-', '_')}"
        sent["response_format"] = {"type": form, "json_schema": {"name": name, "schema": schema, "strict": True}}
    elif form == "json_object":
        sent["response_format"] = {"type": form}
    return sent


def client(base_url: str, api_key: str | Callable[[], str]) -> openai.AsyncOpenAI:
    """One call is one request to the host that was named, with the key as it is by then.

    The SDK would follow redirects, and retry beyond our deadline. A key read from a file often ends in a newline, which
    no header may. The deadline is the caller's; only connecting has its own, shorter one.
    """

    async def key() -> str:
        return (api_key if isinstance(api_key, str) else api_key()).strip()

    http = openai.DefaultAsyncHttpxClient(follow_redirects=False, event_hooks={"response": [_cap]})
    timeout = httpx2.Timeout(None, connect=CONNECT_S)
    return openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=timeout, http_client=http)


async def complete(
    connected: openai.AsyncOpenAI, sent: dict[str, Any], headers: dict[str, str] | None = None
) -> Completion:
    """Ask once. Raises openai.APIError, and NOT_A_COMPLETION for a body that is none."""
    answer = await connected.chat.completions.create(**cast("Any", sent), extra_headers=headers)
    choice = answer.choices[0]
    text = choice.message.content
    if text is not None and not isinstance(text, str):
        raise TypeError("the content is not text")
    refused = bool(choice.message.refusal) or choice.finish_reason == "content_filter"
    usage = answer.usage
    spent = (_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    return Completion(text or "", str(choice.finish_reason), refused, *spent)


def _count(usage: object, name: str) -> int:
    """A number of tokens, or 0 for anything that cannot be one."""
    value = getattr(usage, name, 0)
    plausible = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_ANSWER_BYTES
    return value if plausible else 0


def wait_before_retry(error: openai.APIStatusError) -> float | None:
    """Seconds until one more try is worth it; None when it never is.

    429 and 5xx only. A quota that is used up answers 429 too, and does not come back within a request.
    """
    if not isinstance(error, openai.RateLimitError | openai.InternalServerError) or error.code == "insufficient_quota":
        return None
    told = _retry_after(error.response.headers.get("retry-after", ""))
    return (DEFAULT_WAIT_S if told is None else told) + random.uniform(0, JITTER_S)  # noqa: S311  (not for secrets)


def _retry_after(header: str) -> float | None:
    """Seconds, from a number or an HTTP date; None when it is neither."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def reason(error: openai.APIError) -> str:
    """A fixed word per kind of failure: upstream text goes nowhere."""
    if isinstance(error, openai.APITimeoutError):
        return "connect_timeout" if isinstance(error.__cause__, httpx2.ConnectTimeout) else "timeout"
    if error.code == "insufficient_quota":
        return "quota"
    kinds: tuple[tuple[type[openai.APIError], str], ...] = (
        (openai.AuthenticationError, "unauthorized"),
        (openai.PermissionDeniedError, "unauthorized"),
        (openai.NotFoundError, "model_not_found"),
        (openai.RateLimitError, "rate_limited"),
        (openai.InternalServerError, "server_error"),
        (openai.APIConnectionError, "connection"),
    )
    return next((word for kind, word in kinds if isinstance(error, kind)), "rejected")


class _Capped(httpx2.AsyncByteStream):
    """A body that ends in ValueError when it is longer than any chat completion."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for part in self._stream:
            seen += len(part)
            if seen > MAX_ANSWER_BYTES:
                raise ValueError("the answer is too long")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _cap(response: httpx2.Response) -> None:
    response.stream = _Capped(cast("httpx2.AsyncByteStream", response.stream))
