"""TCP, TLS, DNS, ICMP, SMTP, IMAP, SSH and WebSocket checks against local servers in good and bad states."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from tests.collect.fakes import Handler, Pki, Servers, free_port, hang, run_once, slam
from tests.collect.realservers import ssh_server

from tocsin.model.check import CheckReason as R


def speaks(*steps: bytes) -> Handler:
    """Says the first step at once and each other one after a line of the client."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for i, step in enumerate(steps):
            if i:
                await reader.readline()
            writer.write(step)
            await writer.drain()
        await asyncio.sleep(0.05)

    return handle


@pytest.mark.parametrize(
    "raw",
    [
        {"tcp": {"host": "127.0.0.1", "port": 0, "expect": {"answer": "x"}}},
        {"tls": {"host": "127.0.0.1", "port": 0}},
        {"smtp": {"host": "127.0.0.1", "port": 0}},
        {"imap": {"host": "127.0.0.1", "port": 0, "security": "none"}},
        {"ssh": {"host": "127.0.0.1", "port": 0}},
        {"redis": {"host": "127.0.0.1", "port": 0}},
        {"websocket": {"url": "ws://127.0.0.1:0/"}},
        {"postgres": {"host": "127.0.0.1", "port": 0}},
        {"mysql": {"host": "127.0.0.1", "port": 0}},
    ],
    ids=lambda raw: next(iter(raw)),
)
async def test_refused_hung_and_closed_are_told_apart_by_every_type(servers: Servers, raw: dict[str, Any]) -> None:
    def at(port: int) -> dict[str, Any]:
        (kind, settings), *_ = raw.items()
        if "url" in settings:
            return {kind: {"url": f"ws://127.0.0.1:{port}/"}}
        return {kind: {**settings, "port": port}}

    refused = await run_once({**at(free_port()), "timeout": "3s"})
    assert (refused.ok, refused.reason) == (False, R.REFUSED), refused.message
    hung = await run_once({**at(await servers.start(hang)), "timeout": "150ms"})
    assert (hung.ok, hung.reason) == (False, R.TIMEOUT), hung.message
    closed = await run_once({**at(await servers.start(slam)), "timeout": "3s"})
    assert not closed.ok
    if "tcp" not in raw:  # an empty answer of a plain port is only not the expected one
        assert closed.reason in (R.PROTOCOL, R.RESET, R.TLS, R.QUERY), (closed.reason, closed.message)


async def test_tcp_accepts_converses_and_judges(servers: Servers) -> None:
    port = await servers.start(speaks(b"220 hello\r\n"))
    assert (await run_once({"tcp": f"127.0.0.1:{port}"})).ok
    assert (await run_once({"tcp": f"127.0.0.1:{port}", "expect": {"answer": "^220"}})).ok
    wrong = await run_once({"tcp": f"127.0.0.1:{port}", "expect": {"answer": "^500"}})
    assert (wrong.reason, wrong.facts["answer"]) == (R.UNEXPECTED_ANSWER, "220 hello\r\n")
    echo = await servers.start(speaks(b"", b"PONG\r\n"))
    assert (await run_once({"tcp": f"127.0.0.1:{echo}", "send": "PING\r\n", "expect": {"answer": "PONG"}})).ok


async def test_tls_certificates_good_soon_expired_untrusted(servers: Servers, pki: Pki) -> None:
    async def ask(pair: Any, **settings: Any) -> Any:
        port = await servers.start(hang, tls=pki.context(pair))
        return await run_once({"tls": {"host": "localhost", "port": port, "ca_file": str(pki.ca), **settings}, "timeout": "3s"})

    assert (await ask(pki.good)).ok
    soon = await ask(pki.soon)
    assert (soon.degraded, soon.reason) == (True, R.CERTIFICATE_EXPIRES_SOON)
    assert (await ask(pki.soon, expires_failure="5d")).reason is R.CERTIFICATE_EXPIRES_SOON
    assert (await ask(pki.expired)).reason is R.CERTIFICATE_EXPIRED
    assert (await ask(pki.good, ca_file="")).reason is R.TLS
    assert "mismatch" in (await ask(pki.good, server_name="other.example")).message


# -- DNS ---------------------------------------------------------------------------------------------------------------


class Zone(asyncio.DatagramProtocol):
    """A name server that answers from a table; `cut` makes UDP answers truncated."""

    def __init__(self, records: dict[tuple[str, str], list[str]], *, cut: bool = False, silent: bool = False) -> None:
        self.records, self.cut, self.silent = records, cut, silent

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if not self.silent:
            self.transport.sendto(b"junk", address)
            self.transport.sendto(self.answer(data, udp=True), address)

    def answer(self, data: bytes, *, udp: bool) -> bytes:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        question = query.question[0]
        found = self.records.get((question.name.to_text(), dns.rdatatype.to_text(question.rdtype)))
        if udp and self.cut:
            answer.flags |= dns.flags.TC
        elif found is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            answer.answer.append(dns.rrset.from_text(question.name, 300, "IN", question.rdtype, *found))
        return answer.to_wire()

    async def over_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        answer = self.answer(await reader.readexactly(size), udp=False)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        await writer.drain()


async def start_zone(zone: Zone, servers: Servers) -> int:
    port = await servers.start(zone.over_tcp)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: zone, local_addr=("127.0.0.1", port))
    return port


RECORDS = {("shop.example.", "A"): ["192.0.2.1", "192.0.2.2"], ("shop.example.", "MX"): ["10 mail.shop.example."]}


@pytest.mark.parametrize(
    ("settings", "reason", "said"),
    [
        ({}, R.OK, "NOERROR with 2 answers"),
        ({"expect": {"answers": ["192.0.2.1"]}}, R.OK, ""),
        ({"expect": {"answers": ["192.0.2.9"]}}, R.UNEXPECTED_ANSWER, "192.0.2.9 is not among them"),
        ({"expect": {"answers": ["192.0.2.1"], "only": True}}, R.UNEXPECTED_ANSWER, "192.0.2.2 is not expected"),
        ({"type": "MX", "expect": {"matches": r"mail\.shop"}}, R.OK, ""),
        ({"type": "MX", "expect": {"matches": "other"}}, R.UNEXPECTED_ANSWER, "none matches"),
        ({"name": "gone.example"}, R.UNEXPECTED_ANSWER, "NXDOMAIN"),
        ({"name": "gone.example", "expect": {"code": "nxdomain"}}, R.OK, ""),
        ({"expect": {"dnssec": True}}, R.UNEXPECTED_ANSWER, "DNSSEC"),
    ],
)
async def test_dns_answers_are_judged(servers: Servers, settings: dict[str, Any], reason: R, said: str) -> None:
    port = await start_zone(Zone(RECORDS), servers)
    result = await run_once({"dns": {"name": "shop.example", "server": "127.0.0.1", "port": port, **settings}})
    assert (result.reason, said in result.message) == (reason, True), result.message
    assert {"probe_dns_lookup_time_seconds", "probe_dns_answer_rrs"} <= {name for name, _, _ in result.samples}


async def test_a_cut_dns_answer_is_asked_again_over_tcp_and_silence_times_out(servers: Servers) -> None:
    port = await start_zone(Zone(RECORDS, cut=True), servers)
    assert (await run_once({"dns": {"name": "shop.example", "server": "127.0.0.1", "port": port}})).ok
    port = await start_zone(Zone(RECORDS, silent=True), servers)
    silent = await run_once({"dns": {"name": "shop.example", "server": "127.0.0.1", "port": port}, "timeout": "100ms"})
    assert silent.reason is R.TIMEOUT


async def test_icmp_answers_or_says_how_to_permit_it() -> None:
    result = await run_once({"icmp": {"host": "127.0.0.1", "count": 2}, "timeout": "2s"})
    if result.unknown:
        assert result.reason is R.UNSUPPORTED
        assert "ping_group_range" in result.message
    else:
        assert result.ok, result.message
        assert len(result.facts["rtt_ms"]) == 2


def test_icmp_runs_on_the_loop_that_production_uses() -> None:
    import uvloop

    result = uvloop.run(run_once({"icmp": {"host": "127.0.0.1", "count": 1}, "timeout": "2s"}))
    assert result.reason in (R.OK, R.UNSUPPORTED), result.message


# -- mail, shells, web sockets -----------------------------------------------------------------------------------------

EHLO = b"250-mx.example\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"


async def test_smtp_greets_signs_in_or_is_refused(servers: Servers) -> None:
    port = await servers.start(speaks(b"220 mx\r\n", EHLO))
    good = await run_once({"smtp": f"127.0.0.1:{port}"})
    assert (good.ok, good.facts["greeting"]) == (True, "mx")
    port = await servers.start(speaks(b"220 mx\r\n", EHLO, b"235 ok\r\n"))
    assert (await run_once({"smtp": {"host": "127.0.0.1", "port": port, "user": "u", "password": "p"}})).ok
    port = await servers.start(speaks(b"220 mx\r\n", EHLO, b"535 bad credentials\r\n"))
    denied = await run_once({"smtp": {"host": "127.0.0.1", "port": port, "user": "u", "password": "hidden-word"}})
    assert denied.reason is R.AUTHENTICATION
    assert "hidden-word" not in repr(denied)
    port = await servers.start(speaks(b"554 go away\r\n"))
    assert (await run_once({"smtp": f"127.0.0.1:{port}"})).reason is R.UNEXPECTED_ANSWER
    port = await servers.start(speaks(b"SSH-2.0-x\r\n"))
    assert (await run_once({"smtp": f"127.0.0.1:{port}"})).reason is R.PROTOCOL
    port = await servers.start(speaks(b"220 mx\r\n", b"250 mx\r\n"))
    no_tls = await run_once({"smtp": {"host": "127.0.0.1", "port": port, "security": "starttls"}})
    assert "does not offer STARTTLS" in no_tls.message


async def test_smtp_starttls_shows_the_certificate(servers: Servers, pki: Pki) -> None:
    async def mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        await reader.readline()
        writer.write(EHLO)
        await reader.readline()
        writer.write(b"220 go ahead\r\n")
        await writer.drain()
        await writer.start_tls(pki.context(pki.good))
        await reader.readline()
        writer.write(b"250 mx\r\n")
        await writer.drain()

    port = await servers.start(mail)
    settings = {"host": "localhost", "port": port, "security": "starttls", "ca_file": str(pki.ca)}
    result = await run_once({"smtp": settings, "timeout": "3s"})
    assert result.ok, result.message
    assert result.facts["tls"]["chain"][0]["names"] == ["localhost", "127.0.0.1"]


async def test_imap_greets_and_signs_in(servers: Servers, pki: Pki) -> None:
    plain = {"host": "127.0.0.1", "security": "none", "user": "ana", "password": 'p"w'}
    port = await servers.start(speaks(b"* OK ready\r\n", b"a2 OK signed in\r\n"))
    assert (await run_once({"imap": {**plain, "port": port}})).ok
    port = await servers.start(speaks(b"* OK ready\r\n", b"a2 NO wrong\r\n"))
    assert (await run_once({"imap": {**plain, "port": port}})).reason is R.AUTHENTICATION
    port = await servers.start(speaks(b"* OK ready\r\n"), tls=pki.context(pki.good))
    assert (await run_once({"imap": {"host": "localhost", "port": port, "ca_file": str(pki.ca)}, "timeout": "3s"})).ok


async def test_ssh_names_its_version(servers: Servers) -> None:
    port = await servers.start(speaks(b"welcome\r\nSSH-2.0-OpenSSH_9.6\r\n"))
    result = await run_once({"ssh": f"127.0.0.1:{port}"})
    assert (result.ok, result.facts["banner"]) == (True, "SSH-2.0-OpenSSH_9.6")
    wrong = await run_once({"ssh": {"host": "127.0.0.1", "port": port, "expect": "dropbear"}})
    assert wrong.reason is R.UNEXPECTED_ANSWER
    old = await servers.start(speaks(b"SSH-1.5-old\r\n"))
    assert (await run_once({"ssh": f"127.0.0.1:{old}"})).reason is R.PROTOCOL


async def test_websocket_upgrades_and_converses(servers: Servers) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        head = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
        ]
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
        size = (await reader.readexactly(2))[1] & 0x7F
        mask = await reader.readexactly(4)
        said = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(size)))
        writer.write(b"\x89\x01!" + bytes([0x81, len(said) + 5]) + b"echo:" + said)
        await writer.drain()
        await asyncio.sleep(0.05)

    port = await servers.start(talk)
    result = await run_once({"websocket": {"url": f"ws://127.0.0.1:{port}/live", "send": "hello", "expect": "^echo:hello$"}})
    assert (result.ok, result.facts["message"]) == (True, "echo:hello"), result.message
    plain = await servers.start(speaks(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    assert (await run_once({"websocket": f"ws://127.0.0.1:{plain}/"})).reason is R.STATUS


@pytest.mark.server
async def test_a_real_sshd_names_its_version() -> None:
    with ssh_server() as port:
        good = await run_once({"ssh": f"127.0.0.1:{port}", "timeout": "5s", "expect": "OpenSSH_[0-9]"})
        assert (good.ok, good.facts["banner"].startswith("SSH-2.0-OpenSSH")) == (True, True), good.message
        wrong = await run_once({"ssh": f"127.0.0.1:{port}", "timeout": "5s", "expect": "dropbear"})
        assert wrong.reason is R.UNEXPECTED_ANSWER
