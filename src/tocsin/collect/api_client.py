"""An HTTP API as discoveries ask it: JSON, lines without end, over TCP or a Unix socket, with Prometheus's HTTP settings."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import aiohttp
import orjson

from tocsin.collect.oauth2 import token_for
from tocsin.collect.scrape_client import ScrapeFailed, authorization_of, tls_context
from tocsin.collect.target import HttpSettings
from tocsin.model.httpclient import proxy_for

_TIMEOUT_S = 30.0
_MOST_BYTES = 256 << 20
_MOST_LINE = 16 << 20


class ApiFailed(Exception):
    """The API did not answer as it should; `status` 0 = it did not answer at all."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ApiClient:
    """One API. `async with`, or `close()`."""

    def __init__(self, base: str, http: HttpSettings, *, socket: str = "") -> None:
        self._base = base.rstrip("/")
        self._http = http
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def json(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The answer of a GET, parsed. Raises ApiFailed."""
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._asked(path, params, await self._headers()) as answer:
                body = await _bounded(answer)
        except TimeoutError:
            raise ApiFailed(0, f"{self._base}{path}: no answer within {_TIMEOUT_S:.0f} s") from None
        except (aiohttp.ClientError, ScrapeFailed, ssl.SSLError, OSError, ValueError) as error:
            raise ApiFailed(0, f"{self._base}{path}: {error}") from None
        if answer.status != 200:
            raise ApiFailed(answer.status, f"{self._base}{path}: HTTP {answer.status} {body[:200].decode('utf-8', 'replace')}")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ApiFailed(answer.status, f"{self._base}{path}: not JSON: {error}") from None

    async def lines(self, path: str, params: Mapping[str, str]) -> AsyncIterator[Any]:
        """JSON values, one a line, until the server ends the answer. Raises ApiFailed."""
        try:
            async with self._asked(path, params, await self._headers()) as answer:
                if answer.status != 200:
                    text = (await _bounded(answer))[:200].decode("utf-8", "replace")
                    raise ApiFailed(answer.status, f"{self._base}{path}: HTTP {answer.status} {text}")
                waiting = b""
                async for part in answer.content.iter_any():
                    *whole, waiting = (waiting + part).split(b"\n")
                    if len(waiting) > _MOST_LINE:
                        raise ApiFailed(200, f"{self._base}{path}: a line longer than 16 MiB")
                    for line in whole:
                        if line.strip():
                            yield orjson.loads(line)
        except (aiohttp.ClientError, ScrapeFailed, ssl.SSLError, OSError, ValueError) as error:
            raise ApiFailed(0, f"{self._base}{path}: {error}") from None

    async def _headers(self) -> dict[str, str]:
        token = await token_for(self._http.oauth2) if self._http.oauth2 else ""
        headers = {name: ", ".join(values) for name, values in self._http.headers.items()}
        credentials = dict(line.split(": ", 1) for line in authorization_of(self._http, token=token))
        return {"Accept": "application/json", **headers, **credentials}

    def _asked(self, path: str, params: Mapping[str, str] | None, headers: Mapping[str, str]) -> Any:
        url = self._base + path
        proxy = "" if self._socket else proxy_for(url, self._http.proxy)
        tls = tls_context(self._http.tls) if url.startswith("https:") else False
        return self._opened().get(
            url,
            params=params,
            headers=headers,
            ssl=tls,
            server_hostname=self._http.tls.server_name or None,
            proxy=proxy or None,
            allow_redirects=self._http.follow_redirects,
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.UnixConnector(self._socket) if self._socket else aiohttp.TCPConnector(limit=8)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
            )
        return self._session


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > _MOST_BYTES:
            raise ValueError("the answer is larger than 256 MiB")
    return bytes(body)
