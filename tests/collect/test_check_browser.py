"""The browser check with a real Chromium, and the proxy through which it reaches the world."""

from __future__ import annotations

import asyncio
import base64
import shutil
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.collect.fakes import Pki, Servers, free_port, hang, http_answer, run_once

from tocsin.clock import SystemClock
from tocsin.collect.catalog import parse_check
from tocsin.collect.egress_proxy import egress_proxy
from tocsin.collect.network import Network
from tocsin.model.check import CheckReason as R
from tocsin.model.egress import EgressRules, parse_networks

_FORM = b"""<html><title>Shop</title><body><h1>Welcome</h1><form method=post action=/login>
<input id=user name=user><input id=password name=password type=password><button id=go>Sign in</button></form></body></html>"""


async def _shop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A page with a form; knows ana, and greets her."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next((int(line.split(":")[1]) for line in head.lower().splitlines() if line.startswith("content-length:")), 0)
    sent = parse_qs((await reader.readexactly(length)).decode())
    body = _FORM
    if head.startswith("POST"):
        good = sent.get("user") == ["ana"] and sent.get("password") == ["canary-7"]
        body = b"<title>Cart</title><p id=hello>Hello Ana</p>" if good else b"<p id=hello>Who are you?</p><script>nope()</script>"
    status = "404 Not Found" if "/missing" in head.split(" ")[1] else "200 OK"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


def _login(port: int, password: str) -> dict[str, Any]:
    steps = [{"fill": {"#user": "ana", "#password": password}}, {"click": "#go"}, {"expect_in": {"#hello": "Hello Ana"}}]
    return {"browser": {"url": f"http://127.0.0.1:{port}/", "steps": [{"expect": "Welcome"}, *steps]}}


def _chromium() -> None:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")):
        pytest.skip("no Chromium is installed")


@pytest.mark.e2e
async def test_signing_in_works_or_fails_with_a_picture(servers: Servers) -> None:
    _chromium()
    port = await servers.start(_shop)
    good = await run_once({**_login(port, "canary-7"), "timeout": "40s"})
    assert good.ok, good.message
    assert [phase.name for phase in good.phases] == ["1 goto", "2 expect", "3 fill", "4 click", "5 expect_in"]
    assert (good.facts["title"], "screenshot" in good.facts) == ("Cart", False)
    assert {labels["step"] for _, labels, _ in good.samples} == {phase.name for phase in good.phases}
    wrong = await run_once({**_login(port, "canary-8"), "step_timeout": "2s", "timeout": "40s"})
    assert (wrong.ok, wrong.reason) == (False, R.BODY), wrong.message
    assert wrong.message.startswith("step 5, expect_in #hello")
    assert any("nope" in line for line in wrong.facts["console_errors"])
    picture = base64.b64decode(wrong.facts["screenshot"].removeprefix("data:image/jpeg;base64,"))
    assert picture.startswith(b"\xff\xd8") and len(picture) < 100_000
    assert "canary" not in f"{good.facts} {good.message} {wrong.message}" + str({**wrong.facts, "screenshot": ""})


@pytest.mark.e2e
async def test_bad_pages_are_told_apart(servers: Servers, pki: Pki) -> None:
    _chromium()
    port = await servers.start(_shop)

    async def ask(url: str, **more: Any) -> Any:
        return await run_once({"browser": {"url": url, **more}, "timeout": "40s"})

    missing = await ask(f"http://127.0.0.1:{port}/missing")
    refused = await ask(f"http://127.0.0.1:{free_port()}/")
    untrusted = await ask(f"https://localhost:{await servers.start(_shop, tls=pki.context(pki.good))}/")
    hung = await ask(f"http://127.0.0.1:{await servers.start(hang)}/", step_timeout="500ms")
    assert (missing.reason, "HTTP 404" in missing.message) == (R.STATUS, True), missing.message
    assert refused.ok is False and refused.reason in (R.REFUSED, R.UNREACHABLE), refused.message
    assert untrusted.reason is R.TLS, untrusted.message
    assert hung.reason is R.TIMEOUT, hung.message
    metadata = await ask("http://169.254.169.254/latest/")
    assert (metadata.reason, "169.254.169.254 is refused" in metadata.message) == (R.FORBIDDEN_TARGET, True), metadata.message


async def test_the_proxy_judges_every_target(servers: Servers) -> None:
    network = Network(clock=SystemClock(), egress=EgressRules((), parse_networks(("127.0.0.2/32",))))
    web = await servers.start(http_answer(b"hello"))

    async def say(port: int, text: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text.encode())
        try:
            return await asyncio.wait_for(reader.read(), 2)
        except ConnectionResetError:
            return b""
        finally:
            writer.transport.abort()

    async with egress_proxy(network) as (port, refusals):
        plain = await say(port, f"GET http://127.0.0.1:{web}/x HTTP/1.1\r\nHost: a\r\nProxy-Connection: keep-alive\r\n\r\n")
        assert plain.startswith(b"HTTP/1.1 200") and plain.endswith(b"hello")
        tunnel = await say(port, f"CONNECT 127.0.0.1:{web} HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        assert tunnel.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200")
        assert (await say(port, "CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")
        assert (await say(port, "GET http://127.0.0.2/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")
        assert (await say(port, "GET http://metadata.google.internal/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")
        assert await say(port, "nonsense\r\n\r\n") == b""
        assert len(refusals) == 3


def test_steps_are_one_key_each() -> None:
    spec = parse_check({"name": "b", "browser": {"url": "https://shop.example/", "steps": [{"click": "#go"}]}})
    assert (spec.every_ms, spec.timeout_ms, spec.target) == (300_000, 30_000, "https://shop.example/")
    for bad in ([{"click": "#a", "wait": "#b"}], [{}], [{"jump": "#a"}], [{"click": "a"}] * 51):
        with pytest.raises(ValueError, match=r"expected one of|unknown key|at most 50"):
            parse_check({"name": "b", "browser": {"url": "https://shop.example/", "steps": bad}})
