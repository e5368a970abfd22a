"""Sign-in: who may ask, and how often. FastAPI dependencies; what they raise is problem+json."""

import hashlib
import hmac
import math
import secrets
from pathlib import Path
from typing import Annotated

import psutil
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from services.common import telemetry
from services.common.errors import RateLimited, Unauthenticated
from services.common.settings import OPEN, Settings, is_loopback
from services.orchestrator.api_keys import PREFIX, ApiKeys, ApiKeysError
from services.orchestrator.jwks import IssuerKeys
from services.orchestrator.rate import RateLimiter
from services.orchestrator.tokens import Tokens

Credentials = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="An OIDC token or an API key; GET /v1/sign-in says whether")),
]


class SignIn(BaseModel):
    """Answer of `GET /v1/sign-in`: whether one has to, and with whom (authorization code and PKCE)."""

    required: bool
    issuer: str | None = Field(None, description="its /.well-known/openid-configuration has the addresses")
    client_id: str | None = None
    audience: str | None = None
    scope: str | None = None


class Authenticator:
    """Authenticates callers as the settings say. No identity is kept or logged: only its keyed hash."""

    def __init__(self, settings: Settings) -> None:
        """Ends the process with words when the file of keys cannot be used."""
        self._settings, self.required = settings, settings.auth == "required"
        self._own_key = secrets.token_bytes(32)
        self._limiter = RateLimiter(settings.rate_per_minute)
        self._tokens = self._keys = None
        if settings.oidc_issuer:
            keys = IssuerKeys(settings.oidc_jwks_url)
            self._tokens = Tokens(settings.oidc_issuer, settings.oidc_audience, keys, settings.oidc_scope)
        if settings.api_keys_file:
            try:
                self._keys = ApiKeys(Path(settings.api_keys_file))
            except ApiKeysError as error:
                raise SystemExit(f"MELALOG_API_KEYS_FILE: {error}") from None

    async def authenticate(self, credentials: Credentials) -> str:
        """The caller's keyed hash, empty where nobody has to sign in.

        Raises Unauthenticated, Forbidden, SignInDown.
        """
        if not self.required:
            return ""
        if credentials is None:
            raise Unauthenticated("Sign in: this server wants an Authorization header with a Bearer token or API key.")
        identity = await self._identity(credentials.credentials)
        caller = hmac.new(self._hash_key(), identity.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:16]
        telemetry.note_caller(caller)
        return caller

    async def authenticate_paced(self, credentials: Credentials) -> None:
        """As `authenticate`, for what costs work: also raises RateLimited."""
        caller = await self.authenticate(credentials)
        if caller and (wait := self._limiter.wait(caller)):
            raise RateLimited("You have asked too often; try again in a moment.", math.ceil(wait))

    def _hash_key(self) -> bytes:
        """As it is at the moment: a mounted Secret changes under a running process."""
        try:
            return self._settings.log_secret or self._own_key
        except (OSError, UnicodeError):
            return self._own_key

    async def _identity(self, credential: str) -> str:
        if self._keys and credential.startswith(PREFIX):
            if (name := self._keys.name_of(credential)) is None:
                raise Unauthenticated("This API key is not known here.", "invalid_token")
            return f"key {name}"
        if self._tokens is None:
            raise Unauthenticated("This server takes API keys only.", "invalid_token")
        return f"oidc {await self._tokens.subject(credential)}"

    def requirements(self) -> SignIn:
        """What an app has to know."""
        ours = self._settings
        if not self.required:
            return SignIn(required=False)
        return SignIn(
            required=True,
            issuer=ours.oidc_issuer or None,
            client_id=ours.oidc_client_id or None,
            audience=ours.oidc_audience or None,
            scope=ours.oidc_scope or None,
        )


def refuse_open(settings: Settings) -> None:
    """End the process with words when it listens to other machines, and nobody has said that sign-in is off.

    The sockets themselves are looked at: BentoML is told its address in three ways, and its default is all of them.
    """
    if settings.auth != "auto":
        return
    listening = [at for at in psutil.Process().net_connections("tcp") if at.status == psutil.CONN_LISTEN]
    for host in (at.laddr.ip for at in listening):
        if not is_loopback(host):
            raise SystemExit("wrong setting:\n  " + OPEN.format(host=host))
