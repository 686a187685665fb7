"""Sign-in by an identity provider (OpenID Connect, authorisation code with PKCE): what is asked, and what an answer is worth.

    /login/oidc ──state, nonce, PKCE challenge──▶ provider ──code──▶ /login/oidc/callback ──code, verifier──▶ ID token ──▶ account

Pure: values in, values out. Talking to the provider is `oidc_provider`, the routes are `oidc_signin`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from tocsin.web.endpoint import Role

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures that only the provider can make: neither `none` nor the shared secrets of HS256."""
_LEEWAY_S = 60
_OLDEST_S = 600


class SignInRefused(Exception):
    """Somebody is not let in; the text is for them and for the operator, and holds no secret."""


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The section `web.oidc`."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    label: str = "Sign in with your organisation"
    scopes: Sequence[str] = ("openid", "email", "profile")
    name_claim: str = "email"
    """What an account is called."""
    role_claim: str = "groups"
    roles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Role -> values of `role_claim` that give it; the highest counts."""
    default_role: str = ""
    """For people whose claim gives none; empty = they are refused."""
    allowed_domains: Sequence[str] = ()
    """Domains of verified e-mail addresses that may sign in; empty = any."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says somebody is."""

    subject: str
    """Issuer and subject together: the only thing about a person that never changes."""
    name: str
    full_name: str
    email: str
    """Verified, or empty."""
    role: str


def authorize_url(endpoint: str, settings: OidcSettings, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
    """Where the browser goes to sign in."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(settings.scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"


def check_claims(claims: Mapping[str, Any], settings: OidcSettings, *, nonce: str, now_ms: int) -> None:
    """Whether a token with a good signature is meant for us, for this sign-in, and for now. Raises SignInRefused."""
    now_s = now_ms / 1000
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else list(audience) if isinstance(audience, list) else []
    if claims.get("iss") != settings.issuer:
        raise SignInRefused(f"the ID token is from the issuer {claims.get('iss')!r}, expected {settings.issuer!r}")
    if settings.client_id not in audiences:
        raise SignInRefused("the ID token was made for another client: `aud` does not hold our client_id")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != settings.client_id:
        raise SignInRefused("the ID token was made for another client: `azp` is not our client_id")
    if not nonce or claims.get("nonce") != nonce:
        raise SignInRefused("the ID token belongs to another sign-in: its nonce is not ours")
    expires, issued, begins = (_seconds(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None or expires <= now_s - _LEEWAY_S:
        raise SignInRefused("the ID token has expired; is the clock of this machine right?")
    if issued is None or not now_s - _OLDEST_S < issued < now_s + _LEEWAY_S or (begins or 0) > now_s + _LEEWAY_S:
        raise SignInRefused("the ID token is not of this minute; is the clock of this machine right?")


def identity_of(claims: Mapping[str, Any], settings: OidcSettings) -> Identity:
    """Who that is and what they may do. Raises SignInRefused."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise SignInRefused("the ID token has no `sub`")
    email = _text(claims, "email").lower()
    if claims.get("email_verified") is not True:
        email = ""
    domain = email.rpartition("@")[2]
    if settings.allowed_domains and domain not in {name.lower() for name in settings.allowed_domains}:
        raise SignInRefused("only verified e-mail addresses of " + ", ".join(settings.allowed_domains) + " may sign in")
    name = email if settings.name_claim == "email" else _text(claims, settings.name_claim)
    if not name:
        raise SignInRefused(f"the ID token has no usable claim {settings.name_claim!r} (an e-mail address must be verified)")
    return Identity(f"{settings.issuer} {subject}", name, _text(claims, "name"), email, role_of(claims, settings))


def role_of(claims: Mapping[str, Any], settings: OidcSettings) -> str:
    """The highest role that the claim gives. Raises SignInRefused when it gives none and there is no default."""
    value: Any = claims
    for part in settings.role_claim.split("."):  # such as realm_access.roles
        value = value.get(part) if isinstance(value, Mapping) else None
    held = (
        {value}
        if isinstance(value, str)
        else {one for one in value if isinstance(one, str)}
        if isinstance(value, list)
        else set()
    )
    for role in (Role.ADMIN, Role.RESPONDER, Role.VIEWER):
        if held & set(settings.roles.get(role, ())):
            return role
    if settings.default_role:
        return settings.default_role
    raise SignInRefused(f"nothing in your claim {settings.role_claim!r} gives a role here; ask an administrator (web.oidc.roles)")


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
