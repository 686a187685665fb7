"""S24: clients who never finish a header, or send one without an end, keep nobody else waiting and are shown out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tocsin.bus.server import EmbeddedServer
from tocsin.clock import SystemClock
from tocsin.web.protocol import PatientProtocol


class Hasty(PatientProtocol):
    head_s = 0.6
    most_head_bytes = 4096
    most_connections = 150


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    config = uvicorn.Config(app, http=Hasty, port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = EmbeddedServer(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield int(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving


async def ask(port: int, body: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether the other side closes within ten seconds."""
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 10) == b""
    return True


async def test_a_hundred_heads_that_drip_are_closed_while_others_are_answered(port: int) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
    for _, writer in slow:
        writer.write(b"GET / HTTP/1.1\r\nx-slow: ")
    assert (await ask(port, b"x" * 100_000)).endswith(b"100000")
    with contextlib.suppress(ConnectionError):
        for _ in range(3):
            for _, writer in slow:
                writer.write(b"a")
            await asyncio.sleep(0.1)
    assert all(await asyncio.gather(*(ends(reader) for reader, _ in slow)))
    for _, writer in slow:
        writer.close()
    assert (await ask(port)).startswith(b"HTTP/1.1 200")


async def test_every_answer_says_when_it_was_given(port: int) -> None:
    for _ in range(2):
        (date,) = [line for line in (await ask(port)).split(b"\r\n") if line.lower().startswith(b"date: ")]
        assert abs(parsedate_to_datetime(date[6:].decode()).timestamp() - SystemClock().now_ms() / 1000) < 60


async def test_a_connection_that_says_nothing_and_a_header_without_an_end_are_closed(port: int) -> None:
    silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
    endless, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nx-long: ")
    with contextlib.suppress(ConnectionError):
        for _ in range(20):
            writer.write(b"a" * 1024)
            await writer.drain()
    assert await ends(endless)
    assert await ends(silent)
    for one in (writer, silent_writer):
        one.close()


async def test_a_connection_that_waits_between_two_requests_is_kept(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n0"), 10)).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.8)  # longer than a head may take: there is none
    writer.close()


async def test_more_connections_than_there_may_be_are_closed_at_once(port: int) -> None:
    many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(160)]
    assert await ends(many[-1][0])
    for _, writer in many:
        writer.close()
