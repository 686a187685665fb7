"""A mail server greets, offers TLS, and may let us sign in."""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import Field

from tocsin.collect.certificate import expiry_outcome, tls_samples
from tocsin.collect.check import Check, check
from tocsin.collect.fields import DurationMs, Host, LatencyMs, Port, address_text, host_and_port
from tocsin.collect.io import Connection, Io
from tocsin.collect.lines import smtp_reply
from tocsin.collect.outcome import Outcome, ProbeError, passed, slow
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason

_DAY_MS = 86_400_000


@check("smtp")
class Smtp(Check):
    """An SMTP server greets and answers EHLO; STARTTLS and sign-in are tried when asked for. No mail is sent."""

    example = '{name: mail out, smtp: "mail.example:587"}'
    waits_in_phases = True
    evidence = "greeting, offers, certificate chain"

    host: Host
    port: Port = 25
    security: Literal["none", "starttls", "tls"] = Field("none", description="tls = from the first byte (port 465)")
    user: str = ""
    password: str = Field("", repr=False)
    verify: bool = True
    ca_file: str = ""
    ehlo: str = "tocsin.invalid"
    expires_warning: DurationMs = Field(14 * _DAY_MS, description="degraded when the certificate expires within this time")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 500ms")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return host_and_port(value, default_port=25)

    @property
    def target(self) -> str:
        return address_text(self.host, self.port)

    async def run(self, io: Io) -> Outcome:
        options = TlsOptions(verify=self.verify, ca_file=self.ca_file)
        connection = await io.connect(self.host, self.port, tls=options if self.security == "tls" else None)
        try:
            with io.phase("greeting", "waiting for the greeting"):
                greeting = await self._expect(connection, 220, "the greeting")
            with io.phase("ehlo", "waiting for the answer to EHLO"):
                offers = await self._say(connection, f"EHLO {self.ehlo}", 250)
            if self.security == "starttls":
                if not any(line.upper().startswith("STARTTLS") for line in offers):
                    raise ProbeError(CheckReason.TLS, "the server does not offer STARTTLS", {"offers": offers})
                with io.phase("starttls", "waiting for the answer to STARTTLS"):
                    await self._say(connection, "STARTTLS", 220)
                await io.start_tls(connection, options, self.host)
                with io.phase("ehlo", "waiting for the answer to EHLO over TLS"):
                    offers = await self._say(connection, f"EHLO {self.ehlo}", 250)
            if self.user:
                with io.phase("authenticate", "signing in"):
                    await self._sign_in(connection)
        finally:
            connection.close()
        said = f"greeted in {io.waited_ms():.0f} ms"
        facts = {"greeting": greeting[0][:300], "offers": offers[:30]}
        samples = tls_samples(io.trace.facts.get("tls"))
        soon = expiry_outcome(io, self.expires_warning, said, facts, samples)
        return soon or slow(self.latency, io.waited_ms(), said, facts, samples) or passed(said, facts, samples)

    async def _say(self, connection: Connection, line: str, code: int) -> list[str]:
        await connection.send(f"{line}\r\n".encode())
        return await self._expect(connection, code, line.partition(" ")[0])

    async def _expect(self, connection: Connection, code: int, what: str) -> list[str]:
        got, lines = await smtp_reply(connection, what)
        if got != code:
            raise ProbeError(CheckReason.UNEXPECTED_ANSWER, f"{what}: {got} {lines[-1][:200]}, expected {code}")
        return lines

    async def _sign_in(self, connection: Connection) -> None:
        token = base64.b64encode(f"\0{self.user}\0{self.password}".encode()).decode()
        await connection.send(f"AUTH PLAIN {token}\r\n".encode())
        code, lines = await smtp_reply(connection, "AUTH")
        if code != 235:
            raise ProbeError(CheckReason.AUTHENTICATION, f"the server refused the password: {code} {lines[-1][:200]}")
