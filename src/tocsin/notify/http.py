"""The real HTTP port of the channels: aiohttp, with rules on where it may go.

The address that was judged is the one connected to: names are resolved by our own resolver, which leaves out forbidden addresses.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace, TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tocsin.model.egress import EgressRules, literal_address
from tocsin.model.ports import HttpError, HttpResponse, Way

_LONGEST_BODY = 1 << 20
_MOST_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_PLAIN = Way()


class _JudgingResolver(AbstractResolver):
    """Resolves through the system and keeps the permitted addresses only; `outside`: those of the public internet."""

    def __init__(self, egress: Callable[[], EgressRules], *, outside: bool = False) -> None:
        self._egress = egress
        self._outside = outside

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        rules = self._egress()
        if refusal := rules.refusal_of_name(host):
            raise OSError(refusal)
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        out: list[ResolveResult] = []
        judge = rules.refusal_outside if self._outside else rules.refusal
        for found_family, _, proto, _, sockaddr in infos:
            if not judge(str(sockaddr[0])):
                out.append(
                    ResolveResult(
                        hostname=host,
                        host=str(sockaddr[0]),
                        port=port,
                        family=found_family,
                        proto=proto,
                        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                    )
                )
        if not out:
            why = "is not on the public internet" if self._outside else "egress rules forbid"
            raise OSError(f"{host} leads to an address that {why}")
        return out

    async def close(self) -> None:
        return None


class RealWebSocket:
    """Texts in and out of one connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> str | None:
        """The next text; None = the other side is gone."""
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                return str(message.data)
            if message.type is not aiohttp.WSMsgType.BINARY:
                return None

    async def send(self, text: str) -> None:
        """Raises HttpError when the other side is gone."""
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError) as error:
            raise HttpError(_text(error), sent=False) from None


class RealHttp:
    """Keeps one session; use as an async context manager. Proxies come from the environment only when `trust_env`."""

    def __init__(self, *, egress: EgressRules | None = None, user_agent: str = "Tocsin", trust_env: bool = False) -> None:
        self.egress = egress or EgressRules()
        self._user_agent = user_agent
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._outside: aiohttp.ClientSession | None = None
        """For addresses of strangers: a connection that was opened under other rules must never carry their requests."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        for session in (self._session, self._outside):
            if session is not None:
                await session.close()
        self._session = self._outside = None

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
        """One request and its redirects within the same host. Raises HttpError."""
        way = way or _PLAIN
        host = self._judged(url, outside=way.outside)
        sent = [False]
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(_MOST_REDIRECTS + 1):
                    response = await self._once(method, url, headers or {}, body, sent, way)
                    location = response.headers.get("location", "")
                    if response.status not in _REDIRECTS or not location or not way.follow_redirects:
                        return response
                    url = urljoin(url, location)
                    if self._judged(url, outside=way.outside) != host:
                        return response
                    if response.status == 303:
                        method, body = "GET", b""
            raise HttpError("too many redirects", sent=True)
        except TimeoutError:
            raise HttpError(f"no answer within {timeout_s:g} s", sent=sent[0]) from None
        except (aiohttp.ClientError, OSError) as error:
            raise HttpError(_text(error), sent=sent[0] and not isinstance(error, aiohttp.ClientConnectorError)) from None

    @asynccontextmanager
    async def websocket(self, url: str, *, heartbeat_s: float = 20.0, timeout_s: float = 10.0) -> AsyncIterator[RealWebSocket]:
        """A websocket under the same rules. One that does not answer pings counts as gone. Raises HttpError."""
        self._judged(url, ("ws", "wss"))
        try:
            async with asyncio.timeout(timeout_s):
                socket = await self._open().ws_connect(url, heartbeat=heartbeat_s, max_msg_size=_LONGEST_BODY)
        except TimeoutError:
            raise HttpError(f"no answer within {timeout_s:g} s", sent=False) from None
        except (aiohttp.ClientError, OSError) as error:
            raise HttpError(_text(error), sent=False) from None
        try:
            yield RealWebSocket(socket)
        finally:
            await socket.close()

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, sent: list[bool], way: Way
    ) -> HttpResponse:
        session = self._open_outside() if way.outside else self._open()
        async with session.request(
            method,
            url,
            headers={"User-Agent": self._user_agent, **headers},
            data=body or None,
            allow_redirects=False,
            trace_request_ctx=sent,
            ssl=way.tls or True,
            server_hostname=way.server_name or None,
            proxy=way.proxy or None,
            proxy_headers=dict(way.proxy_headers) or None,
        ) as response:
            content = await _read_some(response, way.longest_body)
            return HttpResponse(response.status, {k.lower(): v for k, v in response.headers.items()}, content)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._make_session(_JudgingResolver(lambda: self.egress), trust_env=self._trust_env)
        return self._session

    def _open_outside(self) -> aiohttp.ClientSession:
        if self._outside is None:
            # Never by a proxy of the environment: it would resolve the name by itself, and reach what it can.
            self._outside = self._make_session(_JudgingResolver(lambda: self.egress, outside=True), trust_env=False)
        return self._outside

    def _make_session(self, resolver: AbstractResolver, *, trust_env: bool) -> aiohttp.ClientSession:
        tracing = aiohttp.TraceConfig()

        async def body_sent(_session: object, context: SimpleNamespace, _params: object) -> None:
            if context.trace_request_ctx is not None:  # a websocket's opening carries nothing that could arrive twice
                context.trace_request_ctx[0] = True

        tracing.on_request_headers_sent.append(body_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=200, limit_per_host=20),
            trace_configs=[tracing],
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=trust_env,
        )

    def _judged(self, url: str, schemes: tuple[str, ...] = ("http", "https"), *, outside: bool = False) -> str:
        """The URL's origin. Raises HttpError when its scheme or literal address is forbidden."""
        host = _host_of(url)
        parts = urlsplit(url if host else "")
        if parts.scheme not in schemes:
            raise HttpError(f"only {' and '.join(schemes)} URLs can be called", sent=False)
        refusal = self.egress.refusal_outside if outside else self.egress.refusal
        if (address := literal_address(host)) and (why := refusal(address)):
            raise HttpError(why, sent=False)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _host_of(url: str) -> str:
    """The host as it will be connected to: the client folds other scripts' digits and dots, so that `①②⑦.0.0.1` is an address."""
    try:
        return URL(url).host or ""
    except ValueError:
        return ""


async def _read_some(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """The body, cut: a provider's answer is small, anything else is not an answer."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(min(65_536, longest)):
        chunks.append(chunk)
        size += len(chunk)
        if size >= longest:
            break
    return b"".join(chunks)[:longest]


def _text(error: Exception) -> str:
    """What happened, without the URL (it may hold a token)."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the other side closed the connection"
    return str(error) or type(error).__name__
