"""The HTTP check against real local servers, in good and bad states."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from tests.collect.fakes import FakeProxy, FakeSocks, Pki, Servers, SteadyRandom, free_port, hang, http_answer, run_once, slam

from tocsin.clock import SystemClock
from tocsin.collect.catalog import parse_check
from tocsin.collect.network import Network
from tocsin.collect.probe import Prober
from tocsin.model.check import CheckReason, CheckResult, Phase
from tocsin.model.egress import EgressRules, parse_networks


async def test_a_good_answer_passes_with_every_phase_measured(servers: Servers) -> None:
    port = await servers.start(http_answer(b'{"db": {"ok": true, "lag": 3}, "parts": [1, 2]}', headers=["X-Version: 7"]))
    result = await run_once(
        {
            "http": f"http://127.0.0.1:{port}/health?x=1",
            "expect": {
                "status": [200, 204],
                "headers": {"x-version": "^[0-9]$"},
                "body": {"contains": "ok", "matches": "la?g", "json": {"db.ok": True, "db.lag": "< 5", "parts[1]": 2}},
                "latency": "< 400ms",
            },
        }
    )
    assert (result.ok, result.reason) == (True, CheckReason.OK), result.message
    assert result.message.startswith("HTTP 200 in ")
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "processing", "transfer"]
    assert result.facts["status"] == 200
    assert result.facts["run_id"] == "run-1"
    assert result.manual_by == "ana"
    assert {name for name, _, _ in result.samples} >= {
        "probe_http_status_code",
        "probe_http_duration_seconds",
        "probe_http_version",
        "probe_http_uncompressed_body_length",
        "probe_failed_due_to_regex",
    }


@pytest.mark.parametrize(
    ("expect", "reason", "said"),
    [
        ({"status": 201}, CheckReason.STATUS, "HTTP 200"),
        ({"body": {"contains": "missing"}}, CheckReason.BODY, "does not contain 'missing'"),
        ({"body": {"not_contains": "ok"}}, CheckReason.BODY, "contains 'ok'"),
        ({"body": {"matches": "^nope$"}}, CheckReason.BODY, "does not match"),
        ({"body": {"json": {"a.b": 1}}}, CheckReason.BODY, "JSON has nothing at a.b"),
        ({"body": {"json": {"ok": 2}}}, CheckReason.BODY, "JSON at ok is 1, expected 2"),
        ({"headers": {"server": "nginx"}}, CheckReason.UNEXPECTED_ANSWER, "header server"),
    ],
)
async def test_an_answer_other_than_expected_fails_and_says_how(
    servers: Servers, expect: dict[str, Any], reason: CheckReason, said: str
) -> None:
    port = await servers.start(http_answer(b'{"ok": 1}'))
    result = await run_once({"http": f"http://127.0.0.1:{port}/", "expect": expect})
    assert (result.ok, result.reason) == (False, reason)
    assert said in result.message
    assert result.facts["body_excerpt"] == '{"ok": 1}'


async def test_a_slow_answer_is_degraded_not_down(servers: Servers) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.03)
        await http_answer()(reader, writer)

    port = await servers.start(slow)
    result = await run_once({"http": f"http://127.0.0.1:{port}/", "expect": {"latency": "< 10ms"}})
    assert (result.ok, result.degraded, result.reason) == (True, True, CheckReason.SLOW)


async def test_a_hung_server_times_out_and_says_what_it_waited_for(servers: Servers) -> None:
    port = await servers.start(hang)
    result = await run_once({"http": f"http://127.0.0.1:{port}/", "timeout": "100ms"})
    assert (result.ok, result.reason) == (False, CheckReason.TIMEOUT)
    assert "waiting for the first byte" in result.message
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "processing"]


async def test_refused_closed_and_garbage_are_told_apart(servers: Servers) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()

    assert (await run_once({"http": f"http://127.0.0.1:{free_port()}/"})).reason is CheckReason.REFUSED
    closed = await run_once({"http": f"http://127.0.0.1:{await servers.start(slam)}/"})
    assert closed.reason in (CheckReason.PROTOCOL, CheckReason.RESET)
    nonsense = await run_once({"http": f"http://127.0.0.1:{await servers.start(garbage)}/"})
    assert nonsense.reason is CheckReason.PROTOCOL
    assert "SSH-2.0" in nonsense.message


async def test_a_body_cut_short_is_a_protocol_error(servers: Servers) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()

    result = await run_once({"http": f"http://127.0.0.1:{await servers.start(cut)}/"})
    assert (result.reason, result.facts["status"]) == (CheckReason.PROTOCOL, 200)


async def test_a_body_without_end_is_read_to_the_limit_only(servers: Servers) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    result = await run_once({"http": {"url": f"http://127.0.0.1:{await servers.start(endless)}/", "max_body": "64KB"}})
    assert (result.ok, result.facts["body_cut"], result.facts["body_bytes"]) == (True, True, 65536)


async def test_a_bomb_is_unpacked_to_the_limit_only(servers: Servers) -> None:
    body = gzip.compress(b"\0" * 50_000_000)
    port = await servers.start(http_answer(body, headers=["Content-Encoding: gzip"]))
    result = await run_once({"http": {"url": f"http://127.0.0.1:{port}/", "max_body": "1MB"}, "timeout": "5s"})
    assert (result.facts["body_cut"], result.facts["body_bytes"]) == (True, 1 << 20)


async def test_redirects_are_followed_without_credentials_for_others(servers: Servers) -> None:
    heads: list[bytes] = []

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    last = await servers.start(end)
    first = await servers.start(http_answer(b"", "302 Found", [f"Location: http://localhost:{last}/x"]))
    result = await run_once({"http": f"http://127.0.0.1:{first}/", "bearer": "hidden-token"})
    assert result.ok, result.message
    assert result.facts["redirects"] == [f"http://127.0.0.1:{first}/"]
    assert b"hidden-token" not in heads[0]


async def test_a_redirect_loop_ends(servers: Servers) -> None:
    async def around(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await http_answer(b"", "302 Found", ["Location: /again"])(reader, writer)

    result = await run_once({"http": f"http://127.0.0.1:{await servers.start(around)}/"})
    assert "redirected more than 10 times" in result.message


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://metadata.google.internal/",
        "http://[64:ff9b::a9fe:a9fe]/",
    ],
)
async def test_addresses_that_only_an_attacker_wants_are_refused(url: str) -> None:
    assert (await run_once({"http": url})).reason is CheckReason.FORBIDDEN_TARGET


async def test_a_redirect_to_metadata_is_refused_too(servers: Servers) -> None:
    port = await servers.start(http_answer(b"", "302 Found", ["Location: http://169.254.169.254/"]))
    assert (await run_once({"http": f"http://127.0.0.1:{port}/"})).reason is CheckReason.FORBIDDEN_TARGET
    port = await servers.start(http_answer(b"", "302 Found", ["Location: file:///etc/passwd"]))
    assert (await run_once({"http": f"http://127.0.0.1:{port}/"})).reason is CheckReason.FORBIDDEN_TARGET


async def test_the_operator_may_deny_more(servers: Servers) -> None:
    port = await servers.start(http_answer())
    network = Network(clock=SystemClock(), egress=EgressRules(deny=parse_networks(("127.0.0.0/8",))))
    result = await run_once({"http": f"http://127.0.0.1:{port}/"}, network)
    assert "egress.deny" in result.message


async def test_trusted_expired_and_soon_expiring_certificates(servers: Servers, pki: Pki) -> None:
    tls = {"ca_file": str(pki.ca)}

    async def ask(pair: Any, settings: dict[str, Any]) -> CheckResult:
        port = await servers.start(http_answer(), tls=pki.context(pair))
        return await run_once({"http": {"url": f"https://localhost:{port}/", "tls": settings}, "timeout": "3s"})

    good = await ask(pki.good, tls)
    assert (good.ok, good.degraded) == (True, False), good.message
    assert [phase.name for phase in good.phases] == ["resolve", "connect", "tls", "processing", "transfer"]
    assert good.facts["tls"]["version"] == "TLSv1.3"
    assert {"probe_ssl_earliest_cert_expiry", "probe_tls_version_info"} <= {name for name, _, _ in good.samples}
    expired = await ask(pki.expired, tls)
    assert expired.reason is CheckReason.CERTIFICATE_EXPIRED
    assert expired.facts["tls"]["chain"][0]["names"] == ["localhost", "127.0.0.1"]
    soon = await ask(pki.soon, tls)
    assert (soon.ok, soon.degraded, soon.reason) == (True, True, CheckReason.CERTIFICATE_EXPIRES_SOON)
    assert (await ask(pki.good, {})).reason is CheckReason.TLS
    assert (await ask(pki.good, {"verify": False})).ok


async def test_no_tls_where_tls_is_expected_is_a_tls_error(servers: Servers) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    result = await run_once({"http": f"https://localhost:{await servers.start(plain)}/"})
    assert result.reason is CheckReason.TLS, result.message


async def test_a_name_that_does_not_resolve_is_a_dns_failure() -> None:
    result = await run_once({"http": "http://does-not-exist.invalid/", "timeout": "5s"})
    assert result.reason in (CheckReason.DNS, CheckReason.TIMEOUT)


async def test_the_password_in_a_url_is_in_no_evidence(servers: Servers) -> None:
    port = await servers.start(http_answer(b"", "302 Found", ["Location: /again"]))
    result = await run_once({"http": f"http://ana:secret@127.0.0.1:{port}/", "expect": {"status": 200}})
    assert "secret" not in f"{result.message} {result.facts}"
    answered = await run_once({"http": f"http://ana:secret@127.0.0.1:{await servers.start(http_answer())}/x"})
    assert answered.facts["url"].endswith("/x") and "secret" not in str(answered.facts)


async def test_an_http_check_goes_through_proxies_of_every_kind(servers: Servers, pki: Pki) -> None:
    plain, secure = await servers.start(http_answer()), await servers.start(http_answer(), tls=pki.context(pki.good))
    http, over_tls, socks = FakeProxy(signed_in=True), FakeProxy(signed_in=True), FakeSocks(signed_in=True)
    ways = (
        f"http://ana:right@127.0.0.1:{await servers.start(http)}",
        f"https://ana:right@localhost:{await servers.start(over_tls, tls=pki.context(pki.good))}",
        f"socks5://ana:right@127.0.0.1:{await servers.start(socks)}",
    )
    for way in ways:
        for url in (f"http://127.0.0.1:{plain}/a", f"https://localhost:{secure}/a"):
            settings = {"url": url, "proxy": way, "tls": {"ca_file": str(pki.ca)}}
            result = await run_once({"http": settings, "timeout": "3s"})
            assert (result.ok, result.facts["proxy"]) == (True, way.rpartition("@")[2]), (way, url, result.message)
            assert "right" not in str(result)
            assert ("tls" in result.facts) == url.startswith("https"), "the target's certificate, never the proxy's"
    assert [head.split(" HTTP")[0] for head in http.heads] == [f"GET http://127.0.0.1:{plain}/a", f"CONNECT localhost:{secure}"]
    assert [kind for kind, _ in socks.asked] == [1, 3]


async def test_a_proxy_that_refuses_or_is_gone_is_named(servers: Servers, pki: Pki) -> None:
    closed = await servers.start(FakeProxy(signed_in=True))
    wrong = await run_once({"http": {"url": "https://shop.example/", "proxy": f"http://127.0.0.1:{closed}"}})
    assert (wrong.ok, "the proxy refused the tunnel: 407" in wrong.message) == (False, True), wrong.message
    gone = await run_once({"http": {"url": "https://shop.example/", "proxy": f"http://127.0.0.1:{free_port()}"}})
    assert gone.reason is CheckReason.REFUSED
    mute = await run_once({"http": {"url": "https://shop.example/", "proxy": f"socks5://127.0.0.1:{await servers.start(hang)}"}})
    assert (mute.reason, "asking the proxy" in mute.message) == (CheckReason.TIMEOUT, True), mute.message


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://[fd00:ec2::254]/", "http://metadata.google.internal/"])
async def test_a_proxy_is_no_way_to_addresses_that_only_an_attacker_wants(url: str) -> None:
    assert (await run_once({"http": {"url": url, "proxy": "http://127.0.0.1:1"}})).reason is CheckReason.FORBIDDEN_TARGET


async def test_the_evidence_holds_the_request_and_nobodys_secrets(servers: Servers) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = (await reader.readuntil(b"\r\n\r\n")).decode().replace("\r\n", " ")
        body = f'{{"you": "{said}", "access_token": "of-their-own", "monkey": "banana"}}'.encode()
        writer.write(b"HTTP/1.1 503 Sorry\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    port = await servers.start(echo)
    url = f"http://ana:passw0rd@127.0.0.1:{port}/health?page=2&token=in-the-address"
    result = await run_once({"http": url, "headers": {"X-Api-Key": "of-the-check"}})
    asked = result.facts["request"]
    assert (asked["method"], asked["url"]) == ("GET", f"http://127.0.0.1:{port}/health?page=2&token=<hidden>")
    assert asked["headers"]["user-agent"] == "Tocsin" and asked["headers"]["x-api-key"] == "<hidden>"
    kept = str(result.facts)
    assert not [secret for secret in ("passw0rd", "YW5hOnBhc3N3MHJk", "of-the-check", "of-their-own") if secret in kept]
    assert "banana" in kept, "what is no secret stays"


async def test_a_target_that_does_not_answer_shows_what_it_was_asked(servers: Servers) -> None:
    port = free_port()
    result = await run_once({"http": f"http://127.0.0.1:{port}/health", "method": "HEAD"})
    assert not result.ok and result.facts["request"]["method"] == "HEAD"


async def test_a_run_that_is_followed_tells_each_phase_as_it_begins_and_ends(servers: Servers) -> None:
    port = await servers.start(http_answer(b"fine"))
    told: list[tuple[str, list[str]]] = []
    spec = parse_check({"name": "shop", "http": f"http://127.0.0.1:{port}/"})

    async def report(_results: object) -> None: ...

    def follow(doing: str, phases: tuple[Phase, ...]) -> None:
        told.append((doing.split()[0], [phase.name for phase in phases]))

    prober = Prober(clock=SystemClock(), random=SteadyRandom(), io=Network(clock=SystemClock()), report=report)
    prober.apply([spec])
    result = await prober.run_now("shop", "run-1", by="ana", follow=follow)
    assert result is not None and result.ok
    assert ("connecting", ["resolve"]) in told and ("waiting", ["resolve", "connect"]) in told
    assert told[-1][1] == ["resolve", "connect", "processing", "transfer"]
