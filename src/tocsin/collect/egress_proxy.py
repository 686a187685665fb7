"""A forward proxy on loopback for the length of one run: a program that resolves names itself (a browser) goes through it, so
that every address it reaches is judged, and the judged address is the one connected to.

    browser ──CONNECT host:443 | GET http://host/──▶ proxy ──resolve, judge, connect──▶ target
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

from tocsin.collect.network import Network

_MOST_HEAD = 65_536
_HOP = (b"proxy-connection:", b"connection:", b"proxy-authorization:")


@asynccontextmanager
async def egress_proxy(network: Network) -> AsyncIterator[tuple[int, list[str]]]:
    """The proxy's port, and the refusals it has pronounced so far."""
    refusals: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_serve(network, refusals, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=_MOST_HEAD)
    try:
        yield server.sockets[0].getsockname()[1], refusals
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(network: Network, refusals: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of the browser: one tunnel, or one plain request (the answer's end closes it)."""
    there: asyncio.StreamWriter | None = None
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        host, port, first = _target(head)
        address = await _judged(network, host, refusals)
        if not address:
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            return
        answer, there = await network.open(address, port)
        if first:
            there.write(first)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, there))
            both.create_task(_copy(answer, writer))
    except* (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # the browser sees a connection that ends, and says what it thinks of it
    finally:
        writer.transport.abort()
        if there is not None:
            there.transport.abort()


def _target(head: bytes) -> tuple[str, int, bytes]:
    """Host, port and the request as the target expects it; empty for a tunnel. Raises ValueError."""
    line, _, rest = head.partition(b"\r\n")
    method, target, version = line.decode("latin-1").split(" ", 2)
    if method == "CONNECT":
        parts = urlsplit(f"//{target}")
        return parts.hostname or "", parts.port or 443, b""
    parts = urlsplit(target)
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    headers = [entry for entry in rest.split(b"\r\n") if entry and not entry.lower().startswith(_HOP)]
    request = b"\r\n".join([f"{method} {path} {version}".encode("latin-1"), *headers, b"connection: close", b"", b""])
    return parts.hostname or "", parts.port or 80, request


async def _judged(network: Network, host: str, refusals: list[str]) -> str:
    """An address of `host` that may be connected to; empty = none. Raises OSError for a name that does not resolve."""
    refusal = network.egress.refusal_of_name(host)
    if not refusal:
        for address in await network.resolve(host):
            refusal = network.egress.refusal(address)
            if not refusal:
                return address
    if refusal not in refusals and len(refusals) < 20:
        refusals.append(refusal)
    return ""


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
