"""A TCP port accepts connections, and may greet or answer as expected."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tocsin.collect.certificate import tls_samples
from tocsin.collect.check import Check, check
from tocsin.collect.fields import Host, LatencyMs, Part, Pattern, Port, address_text, host_and_port, search
from tocsin.collect.io import Connection, Io
from tocsin.collect.outcome import Outcome, degraded, failed, passed
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_MOST_ANSWER = 65_536


class TcpExpect(Part):
    """What the other side must say, and how soon it must have accepted."""

    answer: Pattern = Field("", description="regular expression that must occur in what the server sends")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 100ms")


@check("tcp")
class Tcp(Check):
    """A TCP port accepts a connection; with `send` and `expect.answer` it also converses."""

    example = '{name: database port, tcp: "db.internal:5432", expect: {latency: < 100ms}}'
    waits_in_phases = True
    evidence = "answer, certificate chain"

    host: Host
    port: Port
    send: str = Field("", description="text to send after connecting (escapes such as \\r\\n as YAML writes them)")
    expect: TcpExpect = TcpExpect()
    tls: bool = False
    tls_verify: bool = True
    ip: Literal["any", "4", "6"] = "any"

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return host_and_port(value)

    @property
    def target(self) -> str:
        return address_text(self.host, self.port)

    async def run(self, io: Io) -> Outcome:
        options = TlsOptions(verify=self.tls_verify) if self.tls else None
        connection = await io.connect(self.host, self.port, tls=options, ip=self.ip)
        try:
            duration_ms = io.waited_ms()
            samples = tls_samples(io.trace.facts.get("tls"))
            answer = await self._converse(io, connection)
        finally:
            connection.close()
        facts = {"answer": answer[:1024]} if answer else {}
        if self.expect.answer and not search(self.expect.answer, answer):
            text = f"connected, but the answer {answer[:80]!r} does not match {self.expect.answer!r}"
            return failed(CheckReason.UNEXPECTED_ANSWER, text, facts, samples)
        said = f"connected in {duration_ms:.0f} ms"
        if self.expect.latency and duration_ms > self.expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(self.expect.latency)}", facts, samples)
        return passed(said, facts, samples)

    async def _converse(self, io: Io, connection: Connection) -> str:
        """Send, then read until the expected answer is there or the other side stops."""
        if self.send:
            await connection.send(self.send.encode())
        if not self.expect.answer:
            return ""
        answer = b""
        with io.phase("processing", "waiting for the expected answer"):
            while len(answer) < _MOST_ANSWER:
                data = await connection.reader.read(4096)
                answer += data
                if not data or search(self.expect.answer, answer.decode("utf-8", "replace")):
                    break
        return answer.decode("utf-8", "replace")
