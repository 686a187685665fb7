"""OAuth 2 tokens by the client credentials grant (RFC 6749 4.4), kept until shortly before they end."""

from __future__ import annotations

import asyncio
import base64
import ssl
from urllib.parse import quote

import aiohttp
import orjson

from tocsin.collect.scrape_client import ScrapeFailed, secret_of, tls_context
from tocsin.model.httpclient import OAuth2, proxy_for

_TIMEOUT_S = 10.0
_EARLY_S = 10.0
_LONGEST_S = 3600.0
_MOST_BYTES = 65_536

_kept: dict[str, tuple[str, float]] = {}
"""Token and when it ends (the loop's clock), by grant: many targets share one."""


async def token_for(grant: OAuth2) -> str:
    """A token that is valid now. Raises ScrapeFailed."""
    now_s, key = asyncio.get_running_loop().time(), repr((grant, grant.client_secret))
    if (found := _kept.get(key)) is not None and now_s < found[1]:
        return found[0]
    token, lasts_s = await _ask(grant)
    if len(_kept) > 1000:
        _kept.clear()
    _kept[key] = (token, now_s + lasts_s - _EARLY_S)
    return token


async def _ask(grant: OAuth2) -> tuple[str, float]:
    secret = secret_of(grant.client_secret, grant.client_secret_file)
    form = {"grant_type": "client_credentials", **dict(grant.endpoint_params)}
    if grant.scopes:
        form["scope"] = " ".join(grant.scopes)
    try:
        # RFC 6749 2.3.1: id and secret are form-encoded before they become user and password.
        pair = f"{quote(grant.client_id, safe='')}:{quote(secret, safe='')}"
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        context = tls_context(grant.tls) if grant.token_url.startswith("https:") else False
        proxy = proxy_for(grant.token_url, grant.proxy) or None
        async with (
            asyncio.timeout(_TIMEOUT_S),
            aiohttp.ClientSession() as session,
            session.post(grant.token_url, data=form, headers=headers, ssl=context, proxy=proxy) as answer,
        ):
            body = await answer.content.read(_MOST_BYTES)
        said = orjson.loads(body)
        if answer.status == 200 and isinstance(said, dict) and said.get("access_token"):
            return str(said["access_token"]), min(float(said.get("expires_in") or _LONGEST_S), _LONGEST_S)
        reason = said.get("error_description") or said.get("error") if isinstance(said, dict) else ""
        raise ScrapeFailed(f"no token from {grant.token_url}: HTTP {answer.status} {str(reason or '')[:200]}".rstrip())
    except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError, ValueError) as error:
        raise ScrapeFailed(f"no token from {grant.token_url}: {error or 'no answer in time'}") from None
