"""The HTTP check over HTTP/2 and HTTP/3, against hypercorn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from tests.collect.fakes import Pki, Servers, free_port, hang, http_answer, run_once

from tocsin.model.check import CheckReason as R


async def _app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Says which version it heard and what body it was sent; a few paths misbehave."""
    if scope["type"] != "http":
        return
    sent = b""
    while True:
        event = await receive()
        sent += event.get("body", b"")
        if not event.get("more_body"):
            break
    match scope["path"]:
        case "/hang":
            await asyncio.sleep(3600)
        case "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 8192, "more_body": True})
        case "/move":
            await send({"type": "http.response.start", "status": 302, "headers": [(b"location", b"/here")]})
            await send({"type": "http.response.body", "body": b""})
        case _:
            status = 500 if scope["path"] == "/broken" else 200
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
            body = f"version {scope['http_version']}, {len(sent)} bytes".encode()
            await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def _hypercorn(pki: Pki | None = None, pair: Any = None, *, alpn: list[str] | None = None) -> AsyncIterator[int]:
    config, port = Config(), free_port()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    config.graceful_timeout = 0.01
    config.shutdown_timeout = 0.05
    if pki is not None:
        config.certfile, config.keyfile = map(str, pair)
        config.alpn_protocols = alpn or ["h2", "http/1.1"]
        config.quic_bind = [f"127.0.0.1:{port}"]
    stop = asyncio.Event()
    running = asyncio.create_task(serve(_app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.transport.abort()
            break
        except OSError:
            await asyncio.sleep(0.01)
    try:
        yield port
    finally:
        stop.set()
        await asyncio.wait((running,), timeout=2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _https(port: int, pki: Pki, path: str = "/", **more: Any) -> dict[str, Any]:
    return {
        "http": {"url": f"https://localhost:{port}{path}", "tls": {"ca_file": str(pki.ca)}, **more},
        "timeout": "3s",
        "ip": "4",
    }


async def test_http_2_is_agreed_in_tls_with_every_phase(pki: Pki) -> None:
    async with _hypercorn(pki, pki.good) as port:
        good = await run_once(_https(port, pki, http_version=2, method="POST", body="x" * 200_000))
        assert good.ok, good.message
        assert (good.facts["http_version"], good.facts["body_excerpt"]) == ("2", "version 2, 200000 bytes")
        assert good.facts["tls"]["alpn"] == "h2"
        assert [phase.name for phase in good.phases] == ["resolve", "connect", "tls", "processing", "transfer"]
        assert ("probe_http_version", {}, 2.0) in good.samples
        assert (await run_once(_https(port, pki, http_version="any"))).facts["http_version"] == "2"
        assert (await run_once(_https(port, pki))).facts["http_version"] == "1.1"
        moved = await run_once(_https(port, pki, "/move", http_version=2))
        assert (moved.ok, len(moved.facts["redirects"])) == (True, 1)
        assert (await run_once(_https(port, pki, "/broken", http_version=2))).reason is R.STATUS
        hung = await run_once({**_https(port, pki, "/hang", http_version=2), "timeout": "400ms"})
        assert (hung.reason, "first byte" in hung.message) == (R.TIMEOUT, True)
        endless = await run_once(_https(port, pki, "/endless", http_version=2, max_body="64KiB"))
        assert (endless.ok, endless.facts["body_bytes"], endless.facts["body_cut"]) == (True, 65536, True)


async def test_http_2_over_plain_http_is_spoken_at_once(servers: Servers) -> None:
    async with _hypercorn() as port:
        good = await run_once({"http": f"http://127.0.0.1:{port}/", "http_version": 2, "timeout": "3s"})
        assert (good.ok, good.facts["body_excerpt"]) == (True, "version 2, 0 bytes"), good.message
    old = await servers.start(http_answer())
    assert (await run_once({"http": f"http://127.0.0.1:{old}/", "http_version": 2})).reason is R.PROTOCOL


async def test_a_server_that_does_not_agree_to_http_2_is_said_so(pki: Pki, servers: Servers) -> None:
    port = await servers.start(http_answer(), tls=pki.context(pki.good))
    wanted = await run_once(_https(port, pki, http_version=2))
    assert (wanted.reason, "did not agree" in wanted.message) == (R.PROTOCOL, True)
    assert (await run_once(_https(port, pki, http_version="any"))).ok


async def test_http_3(pki: Pki) -> None:
    async with _hypercorn(pki, pki.good) as port:
        good = await run_once(_https(port, pki, http_version=3, method="POST", body="x" * 3000))
        assert good.ok, good.message
        assert (good.facts["http_version"], good.facts["body_excerpt"]) == ("3", "version 3, 3000 bytes")
        assert good.facts["tls"]["chain"][0]["names"] == ["localhost", "127.0.0.1"]
        assert [phase.name for phase in good.phases] == ["resolve", "tls", "processing", "transfer"]
        assert (await run_once(_https(port, pki, "/broken", http_version=3))).reason is R.STATUS
        hung = await run_once({**_https(port, pki, "/hang", http_version=3), "timeout": "400ms"})
        assert (hung.reason, "first byte" in hung.message) == (R.TIMEOUT, True)
        endless = await run_once(_https(port, pki, "/endless", http_version=3, max_body="64KiB"))
        assert (endless.ok, endless.facts["body_cut"]) == (True, True)
        stranger = {"http": f"https://localhost:{port}/", "http_version": 3, "ip": "4", "timeout": "3s"}
        assert (await run_once(stranger)).reason is R.TLS


@pytest.mark.parametrize(
    ("pair", "ok", "reason"), [("expired", False, R.CERTIFICATE_EXPIRED), ("soon", True, R.CERTIFICATE_EXPIRES_SOON)]
)
async def test_certificates_over_http_3_are_judged(pki: Pki, pair: str, ok: bool, reason: R) -> None:
    async with _hypercorn(pki, getattr(pki, pair)) as port:
        result = await run_once(_https(port, pki, http_version=3))
    assert (result.ok, result.reason) == (ok, reason), result.message


async def test_http_3_refused_and_hung(servers: Servers, pki: Pki) -> None:
    refused = await run_once(_https(free_port(), pki, http_version=3))
    assert refused.reason is R.REFUSED, refused.message
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        hung = await run_once({**_https(port, pki, http_version=3), "timeout": "300ms"})
        assert (hung.reason, "QUIC" in hung.message) == (R.TIMEOUT, True)
    finally:
        transport.close()
    plain = await run_once({"http": f"http://127.0.0.1:{await servers.start(hang)}/", "http_version": 3})
    assert (plain.reason, "needs https" in plain.message) == (R.PROTOCOL, True)


def test_http_3_runs_on_the_loop_that_production_uses(pki: Pki) -> None:
    async def story() -> None:
        async with _hypercorn(pki, pki.good) as port:
            result = await run_once(_https(port, pki, http_version=3))
            assert result.ok, result.message
            assert (await run_once(_https(free_port(), pki, http_version=3))).reason is R.REFUSED

    uvloop.run(story())
