"""The adapter to any OpenAI-compatible server: vLLM up to 0.10.2 for Llama 3.2 Vision, newer ones for newer models."""

import asyncio
import base64

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common import tracing
from services.common.client import renewing
from services.vlm.engine.port import EngineFailure

TOP_LOGPROBS = 20
"""vLLM answers 400 to more."""
MAX_ANSWER_BYTES = 1_000_000
PNG = b"\x89PNG"
KEEP_ALIVE_S = 3.0
"""Shorter than the 5 s after which vLLM's server closes an idle connection, or the next request would run into that."""


class _Alternative(BaseModel):
    model_config = ConfigDict(extra="ignore")
    token: str
    logprob: float


class _Position(BaseModel):
    model_config = ConfigDict(extra="ignore")
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(BaseModel):
    model_config = ConfigDict(extra="ignore")
    content: list[_Position] | None = None


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")
    logprobs: _Logprobs | None = None


class _Completion(BaseModel):
    model_config = ConfigDict(extra="ignore")
    choices: list[_Choice] = Field(min_length=1)


class OpenAIEngine:
    """`/v1/chat/completions` with `logprobs`. An adapter that the server loaded at run time is chosen by its name."""

    def __init__(self, base_url: str, model: str, max_in_flight: int = 32) -> None:
        self.model = model
        limits = httpx2.Limits(max_connections=max_in_flight, keepalive_expiry=KEEP_ALIVE_S)
        self._http = httpx2.AsyncClient(base_url=base_url.rstrip("/"), limits=limits, trust_env=False)

    async def first_token(self, picture: bytes, question: str, within_s: float) -> list[tuple[str, float]]:
        """Ask for one token. The engine is only ever sent bytes that we encoded, never a URL to fetch."""
        kind = "png" if picture.startswith(PNG) else "jpeg"
        url = f"data:image/{kind};base64," + base64.b64encode(picture).decode()
        request = {
            "model": self.model,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": url}},
                        {"type": "text", "text": question},
                    ],
                }
            ],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": TOP_LOGPROBS,
        }
        try:
            async with asyncio.timeout(within_s):
                status, body = await self._post(request)
        except (TimeoutError, httpx2.ReadTimeout) as error:
            raise EngineFailure("timeout", "timeout") from error
        except httpx2.DecodingError as error:
            raise EngineFailure("invalid", "garbage") from error
        except httpx2.HTTPError as error:
            raise EngineFailure("unavailable", "connection") from error
        return _read(status, body)

    async def _post(self, request: dict[str, object]) -> tuple[int, bytes]:
        timeout = httpx2.Timeout(None, connect=1.0)
        headers = {**tracing.header(), **renewing()}
        sent = self._http.stream("POST", "/chat/completions", json=request, headers=headers, timeout=timeout)
        async with sent as answer:
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise EngineFailure("invalid", "garbage")
            return answer.status_code, bytes(body)

    async def close(self) -> None:
        """Close the connection pool."""
        await self._http.aclose()


def _read(status: int, body: bytes) -> list[tuple[str, float]]:
    if status == httpx2.codes.NOT_FOUND:
        raise EngineFailure("unavailable", "model_not_found")
    if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        raise EngineFailure("unavailable", "unauthorized")
    if status != httpx2.codes.OK:
        refused = httpx2.codes.is_client_error(status) and status != httpx2.codes.TOO_MANY_REQUESTS
        raise EngineFailure("invalid" if refused else "unavailable", "refused" if refused else "server_error")
    try:
        choice = _Completion.model_validate_json(body).choices[0]
    except ValidationError as error:
        raise EngineFailure("invalid", "garbage") from error
    positions = choice.logprobs.content if choice.logprobs else None
    if not positions or not positions[0].top_logprobs:
        # Some servers accept `logprobs` and silently drop it; without a distribution there is no confidence.
        raise EngineFailure("invalid", "logprobs_missing")
    return [(entry.token, entry.logprob) for entry in positions[0].top_logprobs]
