"""Bearer tokens of an OIDC provider: signature, issuer, audience, time and scope."""

import structlog
from joserfc import jws, jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError

from services.common.errors import Forbidden, Unauthenticated
from services.orchestrator.jwks import IssuerKeys

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Public-key signatures only: `none` proves nothing, and HS256 would take a public key for a secret."""
TYPES = {"jwt", "at+jwt", "application/at+jwt"}
LEEWAY_S = 30
MAX_LENGTH = 16_384


class Tokens:
    """What an issuer says of its users, to this audience."""

    def __init__(self, issuer: str, audience: str, keys: IssuerKeys, scope: str = "") -> None:
        self._keys, self._scope = keys, scope
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def subject(self, token: str) -> str:
        """Who the token is about. Raises Unauthenticated, Forbidden (no such scope) and SignInDown."""
        try:
            claims = await self._checked(token)
        except ExpiredTokenError:
            raise _refused("expired", "Your sign-in has expired; sign in again.") from None
        except (JoseError, ValueError, TypeError) as error:  # the last two: what is no token at all
            claim = f" {error.claim}" if isinstance(error, ClaimError) else ""  # its name: iss, aud …
            raise _refused(type(error).__name__ + claim, "Your sign-in is not valid here; sign in again.") from None
        granted = claims.get("scope", claims.get("scp", ""))
        if self._scope and self._scope not in (granted.split() if isinstance(granted, str) else granted or ()):
            raise Forbidden(self._scope)
        return str(claims["sub"])

    async def _checked(self, token: str) -> jwt.Claims:
        if len(token) > MAX_LENGTH:
            raise ValueError("too long")
        # Unverified as yet: it only tells which key to try.
        head = jws.extract_compact(token.encode()).headers()
        if str(head.get("typ", "JWT")).lower() not in TYPES:
            raise ValueError("another kind of token")
        kid = head.get("kid")
        key = await self._keys.get(kid if isinstance(kid, str) else None)
        claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims
        self._claims.validate(claims)
        return claims


def _refused(reason: str, detail: str) -> Unauthenticated:
    structlog.get_logger().info("token refused", reason=reason)
    return Unauthenticated(detail, "invalid_token")
