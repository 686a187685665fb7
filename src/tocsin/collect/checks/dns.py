"""A name server answers a question as expected."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.fields import LatencyMs, Part, Pattern, Port, search
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, ProbeError, Sample, degraded, failed, passed
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_Type = Literal[
    "A", "AAAA", "CNAME", "MX", "NS", "TXT", "SOA", "SRV", "PTR", "CAA", "DS", "DNSKEY", "TLSA", "NAPTR", "HTTPS", "SVCB"
]


class DnsExpect(Part):
    """What the answer must be like."""

    code: str = Field("NOERROR", description="response code, such as NOERROR or NXDOMAIN")
    answers: tuple[str, ...] = Field((), description="all of these must be among the answers")
    only: bool = Field(False, description="and no other answers than `answers`")
    matches: Pattern = Field("", description="regular expression that one answer must match")
    dnssec: bool = Field(False, description="the resolver must have verified the answer (AD flag)")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 100ms")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, _address: Any) -> None:
        self.answers.put_nowait(data)

    def error_received(self, error: Exception) -> None:
        self.answers.put_nowait(error)


@check("dns")
class Dns(Check):
    """A DNS server answers a question with the expected code and records."""

    example = "{name: resolver, dns: {name: shop.example, server: 10.0.0.53, expect: {answers: [203.0.113.7]}}}"
    evidence = "code, answers, ttl, authenticated, authoritative, server"

    name: str = Field(min_length=1, max_length=253, description="name to ask for")
    type: _Type = "A"
    server: str = Field("", description="name server to ask; default the system's first one")
    port: Port = 53
    tcp: bool = Field(False, description="ask over TCP at once; a cut UDP answer is asked again over TCP anyway")
    recursion: bool = True
    expect: DnsExpect = DnsExpect()

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"name": value}

    @property
    def target(self) -> str:
        return f"{self.name} {self.type}{f' @{self.server}' if self.server else ''}"

    async def run(self, io: Io) -> Outcome:
        server = self.server or _system_server()
        addresses = io.judge(await io.resolve(server))
        question = self._question()
        start_s = io.monotonic_s()
        with io.phase("query", f"waiting for an answer of {addresses[0]}"):
            answer = await self._ask(io, addresses[0], question)
        return self._judge(answer, (io.monotonic_s() - start_s) * 1000)

    def _question(self) -> dns.message.QueryMessage:
        try:
            message = dns.message.make_query(self.name, self.type, want_dnssec=self.expect.dnssec)
        except dns.exception.DNSException as error:
            raise ProbeError(CheckReason.PROTOCOL, f"this question cannot be asked: {error}") from None
        if self.expect.dnssec:
            message.flags |= dns.flags.AD
        if not self.recursion:
            message.flags &= ~dns.flags.RD
        return message

    async def _ask(self, io: Io, address: str, question: dns.message.QueryMessage) -> dns.message.Message:
        if not self.tcp:
            answer = await self._over_udp(address, question)
            if not answer.flags & dns.flags.TC:
                return answer
        return await self._over_tcp(io, address, question)

    async def _over_udp(self, address: str, question: dns.message.QueryMessage) -> dns.message.Message:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            _Datagrams, remote_addr=(address, self.port)
        )
        try:
            transport.sendto(question.to_wire())
            while True:
                data = await protocol.answers.get()
                if isinstance(data, Exception):
                    raise data
                # Anything that does not answer our question is somebody's forgery, or late.
                answer = _answer_to(question, data)
                if answer is not None:
                    return answer
        finally:
            transport.abort()

    async def _over_tcp(self, io: Io, address: str, question: dns.message.QueryMessage) -> dns.message.Message:
        reader, writer = await io.network.open(address, self.port)
        try:
            wire = question.to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            length = int.from_bytes(await reader.readexactly(2), "big")
            return _read(await reader.readexactly(length))
        finally:
            writer.transport.abort()

    def _judge(self, answer: dns.message.Message, duration_ms: float) -> Outcome:
        records = [
            record.to_text() for rrset in answer.answer for record in rrset if dns.rdatatype.to_text(rrset.rdtype) == self.type
        ]
        code = dns.rcode.to_text(answer.rcode())
        facts = {
            "code": code,
            "answers": records[:50],
            "ttl": min((rrset.ttl for rrset in answer.answer), default=0),
            "authenticated": bool(answer.flags & dns.flags.AD),
            "authoritative": bool(answer.flags & dns.flags.AA),
        }
        samples: tuple[Sample, ...] = (
            ("probe_dns_lookup_time_seconds", {}, duration_ms / 1000),
            ("probe_dns_answer_rrs", {}, float(len(records))),
            ("probe_dns_authority_rrs", {}, float(len(answer.authority))),
        )
        expect, said = self.expect, f"{code} with {len(records)} answers in {duration_ms:.0f} ms"
        if code != expect.code.upper():
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, expected {expect.code.upper()}", facts, samples)
        found = {_plain(record) for record in records}
        missing = [wanted for wanted in expect.answers if _plain(wanted) not in found]
        if missing:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, but {missing[0]} is not among them", facts, samples)
        if expect.only and (extra := found - {_plain(wanted) for wanted in expect.answers}):
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, and {sorted(extra)[0]} is not expected", facts, samples)
        if expect.matches and not any(search(expect.matches, record) for record in records):
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, but none matches {expect.matches!r}", facts, samples)
        if code == "NOERROR" and not records:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"there is no {self.type} record of {self.name}", facts, samples)
        if expect.dnssec and not facts["authenticated"]:
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, not verified by DNSSEC", facts, samples)
        if expect.latency and duration_ms > expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(expect.latency)}", facts, samples)
        return passed(said, facts, samples)


def _answer_to(question: dns.message.Message, data: bytes) -> dns.message.Message | None:
    try:
        answer = dns.message.from_wire(data)
    except dns.exception.DNSException:
        return None
    return answer if answer.id == question.id and answer.question == question.question else None


def _read(data: bytes) -> dns.message.Message:
    try:
        return dns.message.from_wire(data)
    except dns.exception.DNSException as error:
        raise ProbeError(CheckReason.PROTOCOL, f"the answer is not DNS: {error}") from None


def _plain(record: str) -> str:
    return record.strip().rstrip(".").strip('"').lower()


def _system_server() -> str:
    try:
        servers = dns.resolver.get_default_resolver().nameservers
    except (dns.resolver.NoResolverConfiguration, OSError):
        servers = []
    if not servers:
        raise ProbeError(CheckReason.DNS, "this system names no DNS server; give `server`")
    return str(servers[0])
