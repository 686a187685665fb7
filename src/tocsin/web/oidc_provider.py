"""The identity provider over HTTP: its description, its keys (which rotate), and codes turned into ID tokens."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from tocsin.clock import Clock
from tocsin.web.oidc import ALGORITHMS, OidcSettings, SignInRefused
from tocsin.web.parts import is_loopback_name

Fetch = Callable[[str, Mapping[str, str] | None, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""(url, form to post or None, headers) -> (status, body). Raises OSError or TimeoutError."""

_DESCRIBED_FOR_S = 3600.0
_KEYS_AGAIN_S = 10.0
"""Keys are not read more often, whatever tokens claim to be signed with."""
_LARGEST = 512 * 1024
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Description:
    """What of the discovery document we use."""

    authorize: str
    token: str
    keys: str
    basic: bool
    """The secret goes into the Authorization header, not into the form."""


class Provider:
    """One identity provider, as its discovery document describes it."""

    def __init__(self, settings: OidcSettings, clock: Clock, fetch: Fetch | None = None) -> None:
        self.settings = settings
        self._clock = clock
        self._fetch = fetch or fetch_by_aiohttp
        self._description: Description | None = None
        self._described_s = 0.0
        self._keys: Any = None
        self._keys_s = 0.0
        self._lock = asyncio.Lock()

    async def description(self) -> Description:
        """From `<issuer>/.well-known/openid-configuration`, kept for an hour. Raises SignInRefused."""
        async with self._lock:
            now_s = self._clock.monotonic_s()
            if self._description is None or now_s - self._described_s > _DESCRIBED_FOR_S:
                url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
                self._description = _described(await self._json(url), self.settings)
                self._described_s = now_s
            return self._description

    async def claims(self, code: str, *, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        """The claims of the ID token that `code` stands for; its signature is checked. Raises SignInRefused."""
        about = await self.description()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        headers: dict[str, str] = {}
        form["client_id"] = self.settings.client_id
        if self.settings.client_secret and about.basic:
            pair = f"{quote(self.settings.client_id, safe='')}:{quote(self.settings.client_secret, safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif self.settings.client_secret:
            form["client_secret"] = self.settings.client_secret
        answer = await self._json(about.token, form, headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInRefused("the provider's answer has no ID token; is the scope `openid` allowed for this client?")
        return await self._verified(token, about)

    async def _verified(self, token: str, about: Description) -> Mapping[str, Any]:
        """Claims of a token with a good signature; keys that we do not know are read anew once."""
        try:
            from joserfc import jwt
            from joserfc.errors import JoseError
            from joserfc.jwk import KeySet
        except ImportError:
            raise SignInRefused("sign-in by OpenID Connect needs the extra oidc: pip install 'tocsin[oidc]'") from None
        for again in (False, True):
            try:
                key_set = KeySet.import_key_set(await self._key_set(about, again=again))
                return dict(jwt.decode(token, key_set, algorithms=list(ALGORITHMS)).claims)
            except (JoseError, ValueError, KeyError, TypeError) as error:
                fault = error
        raise SignInRefused(f"the signature of the ID token is not good ({type(fault).__name__})")

    async def _key_set(self, about: Description, *, again: bool) -> Any:
        now_s = self._clock.monotonic_s()
        if self._keys is None or (again and now_s - self._keys_s >= _KEYS_AGAIN_S):
            self._keys = await self._json(about.keys)
            self._keys_s = now_s
        return self._keys

    async def _json(
        self, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """A JSON object of the provider. Raises SignInRefused with what it said, never with what we sent."""
        where = urlsplit(url).netloc
        try:
            status, body = await self._fetch(url, form, headers or {})
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise SignInRefused(f"the identity provider at {where} does not answer: {type(error).__name__}") from None
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise SignInRefused(f"the identity provider at {where} answered {status} with something that is no JSON object")
        if status != 200:
            said = str(value.get("error_description") or value.get("error") or "no reason given")[:200]
            raise SignInRefused(f"the identity provider at {where} answered {status}: {said}")
        return value


def _described(found: Mapping[str, Any], settings: OidcSettings) -> Description:
    """Raises SignInRefused."""
    if found.get("issuer") != settings.issuer:
        raise SignInRefused(
            f"web.oidc.issuer is {settings.issuer!r}, the provider calls itself {found.get('issuer')!r}: they must be the same"
        )
    authorize, token, keys = (found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"))
    if not (_is_safe(authorize) and _is_safe(token) and _is_safe(keys)):
        raise SignInRefused("the provider's description lacks an https authorization_endpoint, token_endpoint or jwks_uri")
    methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Description(str(authorize), str(token), str(keys), basic="client_secret_basic" in methods)


def _is_safe(url: object) -> bool:
    """https, or this machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback_name(parts.hostname or ""))


async def fetch_by_aiohttp(url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """No redirects, ten seconds, half a megabyte at most."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
        method = "GET" if form is None else "POST"
        async with session.request(method, url, data=form, headers=headers, allow_redirects=False) as answer:
            body = bytearray()
            async for piece in answer.content.iter_chunked(65_536):
                body += piece
                if len(body) > _LARGEST:
                    raise OSError("the answer is too large")
            return answer.status, bytes(body)
