"""How scrapes travel: through proxies, with tokens of an OAuth 2 server."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.collect.fakes import FakeProxy, FakeSocks, Pki, Servers, free_port, http_answer

from tocsin.collect.discover_http import http_groups
from tocsin.collect.scrape_client import ScrapeClient, ScrapeFailed
from tocsin.collect.target import HttpDiscovery, HttpSettings
from tocsin.config.prometheus_http import HttpClientConfig
from tocsin.model.httpclient import OAuth2, Proxy, Tls


async def _get(url: str, **settings: Any) -> bytes:
    client = ScrapeClient(url, HttpSettings(**settings), "text/plain", False, 3.0)
    try:
        async with asyncio.timeout(5):
            return (await client.get()).body
    finally:
        client.close()


async def test_plain_targets_are_asked_through_the_proxy_by_their_whole_address(servers: Servers) -> None:
    proxy = FakeProxy(signed_in=True)
    target, way = await servers.start(http_answer(b"up 1\n")), await servers.start(proxy)
    url = f"http://127.0.0.1:{target}/metrics"
    assert await _get(url, proxy=Proxy(f"http://ana:right@127.0.0.1:{way}")) == b"up 1\n"
    assert proxy.heads[0].startswith(f"GET {url} HTTP/1.1\r\nHost: 127.0.0.1:{target}\r\n")
    with pytest.raises(ScrapeFailed, match="407"):
        await _get(url, proxy=Proxy(f"http://127.0.0.1:{way}"))


async def test_tls_targets_go_through_a_tunnel(servers: Servers, pki: Pki) -> None:
    proxy = FakeProxy(signed_in=True)
    target = await servers.start(http_answer(b"up 1\n"), tls=pki.context(pki.good))
    way, url, tls = await servers.start(proxy), f"https://127.0.0.1:{target}/metrics", Tls(ca_file=str(pki.ca))
    through = Proxy(f"http://ana:right@127.0.0.1:{way}", connect_header={"X-Way": ("a", "b")})
    assert await _get(url, proxy=through, tls=tls, credentials="canary") == b"up 1\n"
    assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{target} HTTP/1.1\r\n")
    assert "X-Way: a\r\nX-Way: b" in proxy.heads[0]
    assert "canary" not in proxy.heads[0], "the target's credentials are not the proxy's to see"
    with pytest.raises(ConnectionError, match="refused the tunnel: 407"):
        await _get(url, proxy=Proxy(f"http://127.0.0.1:{way}"), tls=tls)


async def _every_way(servers: Servers, pki: Pki) -> None:
    """Plain and TLS targets through a proxy that itself speaks TLS, and through SOCKS."""
    plain, secure = (
        await servers.start(http_answer(b"up 1\n")),
        await servers.start(http_answer(b"up 1\n"), tls=pki.context(pki.good)),
    )
    targets = f"http://127.0.0.1:{plain}/metrics", f"https://localhost:{secure}/metrics"
    http, socks = FakeProxy(signed_in=True), FakeSocks(signed_in=True)
    ways = (
        f"https://ana:right@localhost:{await servers.start(http, tls=pki.context(pki.good))}",
        f"socks5://ana:right@127.0.0.1:{await servers.start(socks)}",
    )
    for way in ways:
        for url in targets:
            assert await _get(url, proxy=Proxy(way), tls=Tls(ca_file=str(pki.ca))) == b"up 1\n", (way, url)
    assert [head.split(" ")[0] for head in http.heads] == ["GET", "CONNECT"]
    assert socks.asked == [(1, b"\x7f\x00\x00\x01"), (3, b"localhost")], "names are resolved by the proxy"


async def test_a_proxy_may_speak_tls_or_socks(servers: Servers, pki: Pki) -> None:
    await _every_way(servers, pki)


def test_they_do_on_the_loop_that_production_uses(pki: Pki) -> None:
    async def all_of_it() -> None:
        servers = Servers()
        await _every_way(servers, pki)
        await servers.stop()

    uvloop.run(all_of_it())


async def test_discovery_asks_through_a_proxy_that_speaks_tls(servers: Servers, pki: Pki) -> None:
    body, proxy = b'[{"targets": ["10.0.0.1:9100"]}]', FakeProxy()
    plain = await servers.start(http_answer(body, headers=["Content-Type: application/json"]))
    secure = await servers.start(http_answer(body, headers=["Content-Type: application/json"]), tls=pki.context(pki.good))
    way = Proxy(f"https://localhost:{await servers.start(proxy, tls=pki.context(pki.good))}")
    settings = HttpSettings(proxy=way, tls=Tls(ca_file=str(pki.ca)))
    for url in (f"http://127.0.0.1:{plain}/", f"https://localhost:{secure}/"):
        (group,) = await http_groups(HttpDiscovery(url, http=settings))
        assert group.targets == ("10.0.0.1:9100",)
    assert [head.split(" ")[0] for head in proxy.heads] == ["GET", "CONNECT"]


async def test_a_socks_proxy_that_refuses_says_why(servers: Servers) -> None:
    async def ask(proxy: Any, who: str = "") -> None:
        await _get(f"http://127.0.0.1:{free_port()}/", proxy=Proxy(f"socks5://{who}127.0.0.1:{await servers.start(proxy)}"))

    with pytest.raises(ConnectionError, match="not allowed by its rules"):
        await ask(FakeSocks(code=2))
    with pytest.raises(ConnectionError, match="refused user or password"):
        await ask(FakeSocks(signed_in=True), "ana:wrong@")
    with pytest.raises(ConnectionError, match="wants user and password"):
        await ask(FakeSocks(signed_in=True))
    with pytest.raises(ConnectionError, match="does not speak SOCKS 5"):
        await ask(http_answer_at_once)


async def http_answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def test_no_proxy_and_the_environment_are_heeded(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    target, nowhere = await servers.start(http_answer(b"up 1\n")), f"http://127.0.0.1:{free_port()}"
    url = f"http://127.0.0.1:{target}/metrics"
    assert await _get(url, proxy=Proxy(nowhere, no_proxy="10.0.0.0/8, 127.0.0.0/8")) == b"up 1\n"
    with pytest.raises(ConnectionRefusedError):
        await _get(url, proxy=Proxy(nowhere))
    monkeypatch.setenv("HTTP_PROXY", nowhere)
    monkeypatch.setenv("NO_PROXY", ".internal")
    found = HttpClientConfig.model_validate({"proxy_from_environment": True}).http(Path("/etc")).proxy
    assert (found.http, found.no_proxy) == (nowhere, ".internal")
    assert await _get(url, proxy=found) == b"up 1\n", "loopback never goes through the environment's proxy, as in Go"


async def test_a_token_is_fetched_once_and_sent(servers: Servers, tmp_path: Path) -> None:
    asked: list[str] = []
    shown: list[str] = []

    async def tokens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(next(line for line in head.lower().splitlines() if line.startswith("content-length")).split(":")[1])
        asked.append(head + (await reader.readexactly(length)).decode())
        good = base64.b64encode(b"me:right").decode() in head
        body = b'{"access_token": "t-1", "expires_in": 60}' if good else b'{"error": "invalid_client"}'
        writer.write(f"HTTP/1.1 {'200 OK' if good else '401 No'}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async def target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nup 1\n")
        await writer.drain()

    token_url = f"http://127.0.0.1:{await servers.start(tokens)}/token"
    url = f"http://127.0.0.1:{await servers.start(target)}/metrics"
    (tmp_path / "secret").write_text("right\n")
    grant = OAuth2("me", token_url, client_secret_file=str(tmp_path / "secret"), scopes=("read", "more"))
    for _ in range(2):
        assert await _get(url, oauth2=grant) == b"up 1\n"
    assert len(asked) == 1, "a token is used until it ends"
    assert "grant_type=client_credentials" in asked[0] and "scope=read+more" in asked[0]
    assert all("Authorization: Bearer t-1" in head for head in shown)
    with pytest.raises(ScrapeFailed, match=r"no token from .*401 invalid_client"):
        await _get(url, oauth2=OAuth2("me", token_url, client_secret="wrong"))
