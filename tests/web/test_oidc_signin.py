"""Sign-in by an identity provider, against a fake one on loopback."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from tests.fakes.issuer import CLIENT, SECRET, FakeIssuer
from tests.web.conftest import START_MS

from tocsin.model.event import Actor
from tocsin.web.oidc import OidcSettings, SignInRefused, check_claims, identity_of, role_of

ROLES = {"admin": ["admins"], "responder": ["ops"], "viewer": ["everybody"]}


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer(START_MS // 1000) as fake:
        yield fake


@pytest.fixture
def ready(house: Any, issuer: FakeIssuer) -> Any:
    use(house, OidcSettings(issuer.url, CLIENT, SECRET, label="Sign in with Shop", roles=ROLES))
    return house


def use(house: Any, oidc: OidcSettings) -> None:
    house.parts.settings = dataclasses.replace(house.parts.settings, oidc=oidc)


def change(house: Any, **changes: Any) -> None:
    use(house, dataclasses.replace(house.parts.settings.oidc, **changes))


def cookie_of(answer: Any) -> dict[str, str]:
    return {"cookie": answer.headers["set-cookie"].split(";")[0]}


async def begin(house: Any, target: str = "/") -> Any:
    return await house.client.get("/login/oidc", query={"next": target})


async def go(house: Any, issuer: FakeIssuer, target: str = "/") -> Any:
    """All the way that a browser takes; the last answer."""
    begun = await begin(house, target)
    back = urlsplit(issuer.approve(dict(parse_qsl(urlsplit(begun.headers["location"]).query))))
    return await house.client.get(f"{back.path}?{back.query}", headers=cookie_of(begun))


async def session(house: Any, answer: Any) -> Any:
    return (await house.client.get("/api/tocsin/v1/session", headers=cookie_of(answer))).json()["user"]


async def test_the_first_sign_in_makes_an_account_with_the_role_of_the_claim(ready: Any, issuer: FakeIssuer) -> None:
    login = await ready.client.get("/login?next=/alerts")
    assert '<a href="/login/oidc?next=/alerts">Sign in with Shop</a>' in login.text
    answer = await go(ready, issuer, "/alerts?sev=critical")
    assert (answer.status, answer.headers["location"]) == (303, "/alerts?sev=critical")
    assert await session(ready, answer) == {"name": "ana@shop.example", "full_name": "", "role": "responder"}
    sent = issuer.asked[0]
    assert sent["redirect_uri"] == "http://127.0.0.1:8911/login/oidc/callback"
    assert "client_secret" not in sent

    issuer.claims |= {"groups": ["admins"], "name": "Ana Ruiz", "email": "ana.ruiz@shop.example"}
    again = await session(ready, await go(ready, issuer))
    assert again == {"name": "ana@shop.example", "full_name": "Ana Ruiz", "role": "admin"}, "the subject is who she is"


async def test_keys_rotate_and_unknown_ones_are_not_read_without_end(ready: Any, issuer: FakeIssuer) -> None:
    assert (await go(ready, issuer)).status == 303
    issuer.rotate()
    ready.clock.t_ms += 11_000
    issuer.now_s += 11
    assert (await go(ready, issuer)).status == 303
    assert issuer.key_reads == 2
    issuer.forged = jwt.encode({"alg": "HS256", "kid": "no"}, {"iss": issuer.url}, OctKey.import_key("x" * 32))
    for _ in range(3):
        assert (await go(ready, issuer)).status == 403
    assert issuer.key_reads == 2


async def test_no_signature_of_another_and_no_unsigned_token_is_good(ready: Any, issuer: FakeIssuer) -> None:
    with FakeIssuer(issuer.now_s) as other:
        issuer.forged = other.token("any")
    refused = await go(ready, issuer)
    assert refused.status == 403
    assert "signature" in refused.text
    issuer.forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9."
    assert "signature" in (await go(ready, issuer)).text


async def test_an_answer_that_nobody_here_asked_for_signs_nobody_in(ready: Any, issuer: FakeIssuer) -> None:
    begun = await begin(ready)
    query = dict(parse_qsl(urlsplit(begun.headers["location"]).query))
    assert (query["code_challenge_method"], query["response_type"]) == ("S256", "code")
    back = urlsplit(issuer.approve(query))
    assert "another browser" in (await ready.client.get(f"{back.path}?{back.query}")).text
    assert "not begun here" in (await ready.client.get(f"{back.path}?{back.query}", headers=cookie_of(begun))).text, "used up"
    begun = await begin(ready)
    ready.clock.t_ms += 601_000
    state = dict(parse_qsl(urlsplit(begun.headers["location"]).query))["state"]
    late = await ready.client.get(f"{back.path}?state={state}&code=x", headers=cookie_of(begun))
    assert late.status == 403 and "not begun here" in late.text
    assert issuer.asked == []


async def test_what_the_provider_says_is_shown_and_the_secret_is_not(ready: Any, issuer: FakeIssuer) -> None:
    begun = await begin(ready)
    state = dict(parse_qsl(urlsplit(begun.headers["location"]).query))["state"]
    path = f"/login/oidc/callback?state={state}&error=access_denied&error_description=<b>not+today</b>"
    said = await ready.client.get(path, headers=cookie_of(begun))
    assert said.status == 403 and "&lt;b&gt;not today" in said.text
    change(ready, client_secret="wrong-secret-of-ours")
    refused = await go(ready, issuer)
    assert "invalid_client" in refused.text and "wrong-secret-of-ours" not in refused.text
    change(ready, issuer="http://127.0.0.1:9")
    assert "does not answer" in (await begin(ready)).text
    assert "wrong-secret-of-ours" not in repr(ready.parts.settings)


async def test_an_account_with_a_password_is_taken_over_only_by_its_own_address(ready: Any, issuer: FakeIssuer) -> None:
    await ready.core.command("account.create", {"name": "ana@shop.example", "role": "admin"}, Actor("cli", "root"))
    refused = await go(ready, issuer)
    assert refused.status == 403 and "is not yours" in refused.text
    changes = {"name": "ana@shop.example", "changes": {"email": "Ana@shop.example"}}
    await ready.core.command("account.create", {"name": "root", "role": "admin"}, Actor("cli", "root"))
    await ready.core.command("account.update", changes, Actor("cli", "root"))
    assert (await session(ready, await go(ready, issuer)))["role"] == "responder"
    await ready.core.command("account.update", {"name": "ana@shop.example", "changes": {"disabled": True}}, Actor("cli", "root"))
    assert "disabled" in (await go(ready, issuer)).text


async def test_domains_unverified_addresses_and_roles(ready: Any, issuer: FakeIssuer) -> None:
    change(ready, allowed_domains=("else.example",))
    assert "else.example" in (await go(ready, issuer)).text
    change(ready, allowed_domains=("Shop.Example",))
    assert (await go(ready, issuer)).status == 303
    issuer.claims |= {"sub": "43", "email_verified": False}
    assert (await go(ready, issuer)).status == 403
    issuer.claims |= {"sub": "44", "email_verified": True, "groups": ["strangers"]}
    assert "gives a role" in (await go(ready, issuer)).text


def test_roles_are_found_inside_claims_and_the_highest_counts() -> None:
    settings = OidcSettings("https://id", "tocsin", roles=ROLES, role_claim="realm.roles", default_role="viewer")
    assert role_of({"realm": {"roles": ["everybody", "admins"]}}, settings) == "admin"
    assert role_of({"realm": {"roles": "ops"}}, settings) == "responder"
    assert role_of({"realm": [1, None]}, settings) == "viewer"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"iss": "https://evil"}, "issuer"),
        ({"aud": "another"}, "aud"),
        ({"aud": ["tocsin", "another"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"nonce": "old"}, "nonce"),
        ({"exp": START_MS // 1000 - 61}, "expired"),
        ({"exp": "soon"}, "expired"),
        ({"iat": START_MS // 1000 - 700}, "minute"),
        ({"nbf": START_MS // 1000 + 90}, "minute"),
    ],
)
def test_claims_that_are_not_for_us_or_not_for_now(changes: dict[str, Any], word: str) -> None:
    settings, now_s = OidcSettings("https://id", "tocsin"), START_MS // 1000
    good = {"iss": "https://id", "aud": "tocsin", "nonce": "n", "exp": now_s + 60, "iat": now_s}
    check_claims(good, settings, nonce="n", now_ms=START_MS)
    with pytest.raises(SignInRefused, match=word):
        check_claims({**good, **changes}, settings, nonce="n", now_ms=START_MS)


def test_a_name_that_is_missing_is_said() -> None:
    settings = OidcSettings("https://id", "tocsin", name_claim="preferred_username", default_role="viewer")
    with pytest.raises(SignInRefused, match="preferred_username"):
        identity_of({"sub": "1"}, settings)
