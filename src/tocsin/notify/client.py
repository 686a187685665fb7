"""`http_config` at work: an Http that adds credentials, headers, TLS and proxy to every request of one receiver.

Files (passwords, tokens, certificates) are read anew for each request, so that what is rotated counts at once.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode

import orjson

from tocsin.model.httpclient import Authorization, HttpClient, OAuth2, Proxy, Tls, proxy_for
from tocsin.model.ports import Http, HttpError, HttpResponse, Way

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_EARLY_MS = 10_000
_TOKEN_HOLDS_S = 3600


class ConfiguredHttp:
    """An Http over `base` with the settings of one receiver. What a request itself says (its Authorization) goes first."""

    def __init__(self, base: Http, settings: HttpClient, *, now_ms: Callable[[], int]) -> None:
        self._base = base
        self._settings = settings
        self._now_ms = now_ms
        self._contexts: dict[Tls, tuple[tuple[int, ...], ssl.SSLContext]] = {}
        self._token: tuple[int, str] = (0, "")
        self._asking = asyncio.Lock()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
        way: Way | None = None,
    ) -> HttpResponse:
        """One request. Raises HttpError, also for a file that cannot be read now and a token that is not given."""
        del way  # The settings say it.
        settings = self._settings
        added = {name: ", ".join([*h.values, *map(_read, h.files)]) for name, h in settings.headers.items()}
        own = dict(headers or {})
        named = {name.lower() for name in own}
        everything = {name: value for name, value in added.items() if name.lower() not in named} | own
        chosen = self._way(url, settings.tls, settings.proxy, follow=settings.follow_redirects)
        if "authorization" in named:
            return await self._base.request(method, url, headers=everything, body=body, timeout_s=timeout_s, way=chosen)
        answer: HttpResponse | None = None
        for fresh in (False, True):
            if said := await self._authorization(fresh=fresh):
                everything["Authorization"] = said
            answer = await self._base.request(method, url, headers=everything, body=body, timeout_s=timeout_s, way=chosen)
            if answer.status != 401 or settings.oauth2 is None:
                break
        assert answer is not None
        return answer

    async def _authorization(self, *, fresh: bool) -> str:
        settings = self._settings
        if basic := settings.basic_auth:
            user = basic.username or (_read(basic.username_file) if basic.username_file else "")
            password = basic.password or (_read(basic.password_file) if basic.password_file else "")
            return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        if settings.authorization:
            return _credentials(settings.authorization)
        if settings.oauth2:
            return f"Bearer {await self._access_token(settings.oauth2, fresh=fresh)}"
        return ""

    # -- OAuth 2 --

    async def _access_token(self, grant: OAuth2, *, fresh: bool) -> str:
        """The token, asked for once and kept for as long as it holds. Source: RFC 6749, 4.4."""
        async with self._asking:
            until_ms, token = self._token
            if self._now_ms() < until_ms and not fresh:
                return token
            secret = grant.client_secret or (_read(grant.client_secret_file) if grant.client_secret_file else "")
            form = {"grant_type": "client_credentials", **grant.endpoint_params}
            if grant.scopes:
                form["scope"] = " ".join(grant.scopes)
            pair = base64.b64encode(f"{_quoted(grant.client_id)}:{_quoted(secret)}".encode()).decode()
            headers = {
                "Authorization": f"Basic {pair}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            }
            way = self._way(grant.token_url, grant.tls, grant.proxy, follow=True)
            try:
                answer = await self._base.request(
                    "POST", grant.token_url, headers=headers, body=urlencode(form).encode(), way=way
                )
            except HttpError as error:
                raise HttpError(f"no OAuth 2 token: {error}", sent=False) from None
            self._token = self._granted(answer)
            return self._token[1]

    def _granted(self, answer: HttpResponse) -> tuple[int, str]:
        try:
            value = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            value = None
        if not 200 <= answer.status < 300 or not isinstance(value, dict) or not value.get("access_token"):
            why = value.get("error", "") if isinstance(value, dict) else ""
            raise HttpError(f"no OAuth 2 token: HTTP {answer.status} {why}".strip(), sent=False)
        holds_s = value.get("expires_in")
        holds_ms = 1000 * (int(holds_s) if isinstance(holds_s, int | float) and holds_s > 0 else _TOKEN_HOLDS_S)
        return self._now_ms() + max(holds_ms - _EARLY_MS, 0), str(value["access_token"])

    # -- TLS and proxy --

    def _way(self, url: str, tls: Tls, proxy: Proxy, *, follow: bool) -> Way:
        chosen = proxy_for(url, proxy)
        headers = {name: ", ".join(values) for name, values in proxy.connect_header.items()} if chosen else {}
        return Way(self._context(tls), tls.server_name, chosen, headers, follow)

    def _context(self, tls: Tls) -> ssl.SSLContext | None:
        """The TLS settings, made anew when one of their files has changed."""
        if tls == Tls():
            return None
        stamps = tuple(_changed_ns(file) for file in (tls.ca_file, tls.cert_file, tls.key_file) if file)
        kept = self._contexts.get(tls)
        if kept is None or kept[0] != stamps:
            kept = self._contexts[tls] = (stamps, tls_context(tls))
        return kept[1]


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Raises HttpError when a file cannot be read or is no certificate."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None, cadata=tls.ca or None)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        elif tls.cert:
            _load_pair(context, tls.cert, tls.key)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise HttpError(f"tls_config: {error}", sent=False) from None
    if tls.min_version:
        context.minimum_version = _VERSIONS[tls.min_version]
    if tls.max_version:
        context.maximum_version = _VERSIONS[tls.max_version]
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    """The ssl module takes files only: one that nobody else can read, for a moment."""
    descriptor, name = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{cert}\n{key}\n")
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def _credentials(authorization: Authorization) -> str:
    given = authorization.credentials or (_read(authorization.credentials_file) if authorization.credentials_file else "")
    return f"{authorization.type} {given}"


def _read(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HttpError(f"cannot read {file}: {error}", sent=False) from None


def _changed_ns(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return 0


def _quoted(text: str) -> str:
    return urlencode({"": text})[1:]
