"""Tokens against a real local issuer: what is let in, what is not, and what becomes of rotated keys."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from services.common.errors import Forbidden, MelalogError, SignInDown, Unauthenticated
from services.orchestrator import jwks
from services.orchestrator.jwks import IssuerKeys
from services.orchestrator.tokens import Tokens
from tests.fakes.issuer import AUDIENCE, Issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    started = Issuer()
    yield started
    started.close()


def tokens(issuer: Issuer, scope: str = "", pause_s: float = 0.0) -> Tokens:
    return Tokens(issuer.url, AUDIENCE, IssuerKeys(issuer.jwks_url, pause_s), scope)


def subject(ours: Tokens, token: str) -> str:
    return asyncio.run(ours.subject(token))


def refused(ours: Tokens, token: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        subject(ours, token)
    return caught.value


def unsigned(issuer: Issuer, algorithm: str = "none") -> str:
    parts = ({"alg": algorithm, "kid": issuer.keys[0].kid}, issuer.claims())
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts) + "."


def test_good_tokens_of_both_kinds_of_key_are_let_in(issuer: Issuer) -> None:
    ours = tokens(issuer)
    for key in issuer.keys:
        assert subject(ours, issuer.token(key)) == "CANARYPERSON"
    assert subject(ours, issuer.token(aud=["another", AUDIENCE])) == "CANARYPERSON"
    assert subject(ours, issuer.token(head={"typ": "at+jwt"})) == "CANARYPERSON"


def test_a_good_token_has_to_be_whole(issuer: Issuer) -> None:
    ours = tokens(issuer)
    now = int(time.time())
    assert "expired" in refused(ours, issuer.token(exp=now - 60)).detail
    for wrong in (
        {"aud": "another"}, {"aud": None}, {"aud": []}, {"iss": "https://evil.example"}, {"iss": None},
        {"iss": issuer.url + "/"}, {"exp": None}, {"exp": "tomorrow"}, {"nbf": now + 300}, {"sub": None},
        {"sub": 7}, {"sub": ""},
    ):  # fmt: skip
        told = refused(ours, issuer.token(**wrong))
        assert told.error == "invalid_token"
        assert "CANARY" not in told.detail


def test_only_what_the_issuer_signed_counts(issuer: Issuer) -> None:
    ours = tokens(issuer)
    stranger = RSAKey.generate_key(2048, {"kid": issuer.keys[0].kid})
    assert refused(ours, issuer.token(stranger)).error == "invalid_token"
    assert refused(ours, unsigned(issuer)).error == "invalid_token"
    assert refused(ours, unsigned(issuer, "None")).error == "invalid_token"
    # The public key as an HMAC secret: the oldest trick there is.
    text = unsigned(issuer, "HS256").rstrip(".")
    mac = hmac.digest(issuer.keys[0].as_pem(private=False), text.encode(), "sha256")  # type: ignore[union-attr]
    assert refused(ours, f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}").error == "invalid_token"
    head, _, signature = issuer.token().split(".")
    changed = base64.urlsafe_b64encode(json.dumps(issuer.claims(sub="someone else")).encode()).rstrip(b"=").decode()
    assert refused(ours, f"{head}.{changed}.{signature}").error == "invalid_token"
    assert refused(ours, issuer.token(head={"typ": "logout+jwt"})).error == "invalid_token"


def test_a_scope_that_is_asked_for_has_to_be_there(issuer: Issuer) -> None:
    ours = tokens(issuer, "melalog")
    assert subject(ours, issuer.token(scope="openid melalog")) == "CANARYPERSON"
    assert subject(ours, issuer.token(scp=["melalog"])) == "CANARYPERSON"
    for granted in ({}, {"scope": "openid melalogs"}, {"scope": None}, {"scp": []}):
        with pytest.raises(Forbidden) as caught:
            subject(ours, issuer.token(**granted))
        assert 'scope="melalog"' in caught.value.headers["WWW-Authenticate"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_string_gets_in_or_breaks_it(issuer: Issuer, data: st.DataObject) -> None:
    ours = tokens(issuer, pause_s=60)
    subject(ours, issuer.token())
    part = st.one_of(st.text(max_size=20), st.sampled_from(issuer.token().split(".")), st.binary(max_size=20).map(
        lambda raw: base64.urlsafe_b64encode(raw).decode()))  # fmt: skip
    made = ".".join(data.draw(st.lists(part, max_size=5)))
    if made != issuer.token():
        with pytest.raises((Unauthenticated, SignInDown)):
            subject(ours, made)


def test_rotated_keys_are_found_and_a_flood_of_unknown_ones_is_not_passed_on(issuer: Issuer) -> None:
    async def scenario() -> None:
        ours = tokens(issuer, pause_s=0.3)
        for _ in range(5):
            await ours.subject(issuer.token())
        assert issuer.asked == 1, "keys are kept"
        before = issuer.token()
        issuer.rotate()
        await asyncio.sleep(0.35)
        await asyncio.gather(*(ours.subject(issuer.token()) for _ in range(5)))
        assert issuer.asked == 2
        stranger = RSAKey.generate_key(2048, auto_kid=True)
        for token in [before, *(issuer.token(stranger) for _ in range(20))]:
            with pytest.raises(Unauthenticated):
                await ours.subject(token)
        assert issuer.asked == 2
        await ours.subject(issuer.token())

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [7, {"kty": "RSA"}]}', b"x" * 300_000, b"[" * 90_000],
)
def test_without_keys_nobody_is_let_in_and_it_is_not_their_fault(issuer: Issuer, body: bytes) -> None:
    issuer.body = body
    with pytest.raises(SignInDown):
        subject(tokens(issuer), issuer.token())


def test_one_unreadable_key_costs_no_other(issuer: Issuer) -> None:
    good = [key.as_dict(private=False) for key in issuer.keys]
    odd = [
        {"kty": "AKP", "kid": "a"},
        {"kty": "EC", "crv": "P-0", "kid": "b"},
        {"kty": "oct", "k": "c2VjcmV0"},
        7,
        None,
    ]
    issuer.body = json.dumps({"keys": [*odd, *good]}).encode()
    assert subject(tokens(issuer), issuer.token()) == "CANARYPERSON"


def test_an_issuer_that_is_down_or_slow_is_waited_for_only_once(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT_S", 0.2)

    async def scenario() -> None:
        ours = tokens(issuer, pause_s=30)
        await ours.subject(issuer.token())
        monkeypatch.setattr(jwks, "FRESH_S", 0.0)
        issuer.delay_s, ours._keys._tried = 2.0, 0.0  # noqa: SLF001
        started = time.monotonic()
        for _ in range(5):
            await ours.subject(issuer.token())  # the keys we have are still good
        assert time.monotonic() - started < 1
        monkeypatch.setattr(jwks, "STALE_S", 0.0)
        with pytest.raises(SignInDown) as caught:
            await ours.subject(issuer.token())
        assert isinstance(caught.value, MelalogError)
        assert int(caught.value.headers["Retry-After"]) >= 1

    asyncio.run(scenario())
