"""Connections through an HTTP proxy: plain requests are given to it whole, TLS goes through a tunnel (CONNECT)."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, unquote, urlsplit

_MOST_ANSWER = 65_536

P = TypeVar("P", bound=asyncio.Protocol)


async def connect_through(
    proxy: str,
    host: str,
    port: int,
    protocol: Callable[[], P],
    context: ssl.SSLContext | None,
    server_name: str,
    *,
    headers: Mapping[str, tuple[str, ...]],
) -> P:
    """A connection to the proxy, or with `context` one to host:port within its tunnel. Raises OSError, ssl.SSLError."""
    loop, parts = asyncio.get_running_loop(), urlsplit(proxy)
    address = parts.hostname or "", parts.port or 80
    if context is None:
        return (await loop.create_connection(protocol, *address))[1]
    transport, opening = await loop.create_connection(_Opening, *address)
    try:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *proxy_credentials(proxy)]
        lines += [f"{name}: {value}" for name, values in headers.items() for value in values]
        await opening.ask("\r\n".join(lines).encode() + b"\r\n\r\n")
        inner = protocol()
        # The loop does not tell the inner protocol of a transport that is upgraded.
        secured = await loop.start_tls(transport, inner, context, server_hostname=server_name)
        inner.connection_made(cast(asyncio.Transport, secured))
        return inner
    except BaseException:
        transport.abort()
        raise


def host_text(parts: SplitResult) -> str:
    """`host:port` as the URL has it, without user and password."""
    return parts.netloc.rpartition("@")[2]


def proxy_credentials(proxy: str) -> list[str]:
    """The header line that signs in to the proxy, where its URL names a user."""
    parts = urlsplit(proxy)
    if not parts.username:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return ["Proxy-Authorization: Basic " + base64.b64encode(pair.encode()).decode()]


class _Opening(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seen = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    async def ask(self, request: bytes) -> None:
        self._transport.write(request)
        await self._answered

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if b"\r\n\r\n" not in self._seen and len(self._seen) < _MOST_ANSWER:
            return
        words = self._seen.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(words) > 1 and words[1] == b"200":
            self._done(None)
        else:
            said = b" ".join(words[1:])[:100].decode("latin-1")
            self._done(ConnectionError(f"the proxy refused the tunnel: {said}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._done(ConnectionResetError("the proxy closed the connection"))

    def _done(self, problem: Exception | None) -> None:
        if self._answered.done():
            return
        if problem is None:
            self._answered.set_result(None)
        else:
            self._answered.set_exception(problem)
