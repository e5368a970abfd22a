"""An issuer's public keys: fetched when needed, kept for a while, fetched again when a token names one we lack."""

import asyncio
import json
import time
from typing import Any

import httpx2
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from services.common.errors import SignInDown

FRESH_S, STALE_S = 300.0, 3600.0
"""A key that the issuer took back is believed no longer than the first; while it cannot be asked, than the second."""
PAUSE_S, TIMEOUT_S = 5.0, 5.0
"""Tokens with made-up key ids must not become a flood at the issuer."""
MAX_BYTES = 256 * 1024
KINDS = {"RSA", "EC", "OKP"}


class IssuerKeys:
    """The keys at a URL."""

    def __init__(self, url: str, pause_s: float = PAUSE_S) -> None:
        self._url, self._pause_s = url, pause_s
        self._keys = KeySet([])
        self._fetched = self._tried = float("-inf")
        self._lock = asyncio.Lock()

    async def get(self, kid: str | None) -> Key:
        """The key of that id. Raises joserfc's InvalidKeyIdError, and SignInDown when no keys can be had."""
        if self._wanted(kid):
            async with self._lock:  # who waited here finds what the first one fetched
                if self._wanted(kid) and time.monotonic() - self._tried >= self._pause_s:
                    await self._refresh()
        if time.monotonic() - self._fetched > STALE_S:
            raise SignInDown("Your sign-in cannot be checked at the moment; try again shortly.", retry_after_s=5)
        return self._keys.get_by_kid(kid)

    def _wanted(self, kid: str | None) -> bool:
        known = kid is None or any(key.kid == kid for key in self._keys)
        return not known or time.monotonic() - self._fetched > FRESH_S

    async def _refresh(self) -> None:
        """Fetch; a failure is logged, and the keys that are there stay."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                keys = _usable(json.loads(await self._download()))
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
            structlog.get_logger().warning("issuer's keys not fetched", dependency="issuer", error=type(error).__name__)
        else:
            self._keys, self._fetched = keys, time.monotonic()
        finally:
            self._tried = time.monotonic()

    async def _download(self) -> bytes:
        body = bytearray()
        async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client, client.stream("GET", self._url) as answer:
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_BYTES:
                    raise ValueError("too long")
        return bytes(body)


def _usable(document: Any) -> KeySet:
    """The public signature keys; one that cannot be read does not cost us the others. Raises ValueError without any."""
    entries = document.get("keys") if isinstance(document, dict) else None
    keys = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("kty") in KINDS and entry.get("use", "sig") == "sig":
            try:
                keys.append(JWKRegistry.import_key(entry))
            except (JoseError, ValueError, TypeError, KeyError):
                structlog.get_logger().warning("issuer's key passed over", dependency="issuer", reason="unreadable")
    if not keys:
        raise ValueError("no keys")
    return KeySet(keys)
