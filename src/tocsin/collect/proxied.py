"""Connections through a proxy: plain HTTP is given to an HTTP proxy whole, everything else goes through a tunnel."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

from tocsin.collect.tunnel import Tunnel, address_of, is_socks, tunnel

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
    proxy_context: ssl.SSLContext | None,
) -> P:
    """A connection to an HTTP proxy, or with `context` (and by SOCKS) one to host:port within its tunnel.

    `proxy_context`: TLS to the proxy itself, for https://. Raises OSError, ssl.SSLError.
    """
    loop, address = asyncio.get_running_loop(), address_of(proxy)
    secure: dict[str, Any] = {}
    if urlsplit(proxy).scheme == "https":
        secure = {"ssl": proxy_context, "server_hostname": address[0]}
    if context is None and not is_socks(proxy):
        return (await loop.create_connection(protocol, *address, **secure))[1]
    transport, opening = await loop.create_connection(lambda: _Opening(tunnel(proxy, host, port, headers)), *address, **secure)
    try:
        await opening.opened
        inner, inside = protocol(), cast(asyncio.BaseTransport, transport)
        if context is None:
            transport.set_protocol(inner)
        else:
            # The loop does not tell the inner protocol of a transport that is upgraded.
            inside = cast(asyncio.Transport, await loop.start_tls(transport, inner, context, server_hostname=server_name))
        inner.connection_made(inside)
        return inner
    except BaseException:
        transport.abort()
        raise


def host_text(parts: SplitResult) -> str:
    """`host:port` as the URL has it, without user and password."""
    return parts.netloc.rpartition("@")[2]


class _Opening(asyncio.Protocol):
    """Talks to the proxy until the tunnel is open."""

    def __init__(self, conversation: Tunnel) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._conversation = conversation
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._conversation.begin())

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            return
        try:
            if say := self._conversation.take(data):
                self._transport.write(say)
        except ConnectionError as error:
            self.opened.set_exception(error)
            return
        if self._conversation.opened:
            self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionResetError("the proxy closed the connection"))
