"""An IMAP server greets and may let us sign in."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tocsin.collect.certificate import expiry_outcome, tls_samples
from tocsin.collect.check import Check, check
from tocsin.collect.fields import DurationMs, Host, LatencyMs, Port, address_text, host_and_port
from tocsin.collect.io import Connection, Io
from tocsin.collect.lines import read_line
from tocsin.collect.outcome import Outcome, ProbeError, passed, slow
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason

_DAY_MS = 86_400_000
_MOST_LINES = 200


@check("imap")
class Imap(Check):
    """An IMAP server greets; with a user it also signs in."""

    example = "{name: mailboxes, imap: mail.example}"
    waits_in_phases = True
    evidence = "greeting, certificate chain"

    host: Host
    port: Port = 993
    security: Literal["none", "starttls", "tls"] = "tls"
    user: str = ""
    password: str = Field("", repr=False)
    verify: bool = True
    ca_file: str = ""
    expires_warning: DurationMs = Field(14 * _DAY_MS, description="degraded when the certificate expires within this time")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 500ms")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return host_and_port(value, default_port=993)

    @property
    def target(self) -> str:
        return address_text(self.host, self.port)

    async def run(self, io: Io) -> Outcome:
        options = TlsOptions(verify=self.verify, ca_file=self.ca_file)
        connection = await io.connect(self.host, self.port, tls=options if self.security == "tls" else None)
        try:
            with io.phase("greeting", "waiting for the greeting"):
                greeting = await read_line(connection, "the greeting")
            if not greeting.startswith(("* OK", "* PREAUTH")):
                raise ProbeError(CheckReason.PROTOCOL, f"the greeting {greeting[:80]!r} is not IMAP's")
            if self.security == "starttls":
                with io.phase("starttls", "waiting for the answer to STARTTLS"):
                    await self._say(connection, "a1", "STARTTLS", CheckReason.TLS)
                await io.start_tls(connection, options, self.host)
            if self.user:
                with io.phase("authenticate", "signing in"):
                    words = f"LOGIN {_quoted(self.user)} {_quoted(self.password)}"
                    await self._say(connection, "a2", words, CheckReason.AUTHENTICATION)
        finally:
            connection.close()
        said = f"greeted in {io.waited_ms():.0f} ms"
        facts = {"greeting": greeting[:300]}
        samples = tls_samples(io.trace.facts.get("tls"))
        soon = expiry_outcome(io, self.expires_warning, said, facts, samples)
        return soon or slow(self.latency, io.waited_ms(), said, facts, samples) or passed(said, facts, samples)

    async def _say(self, connection: Connection, tag: str, command: str, reason: CheckReason) -> None:
        await connection.send(f"{tag} {command}\r\n".encode())
        what = command.partition(" ")[0]
        for _ in range(_MOST_LINES):
            line = await read_line(connection, what)
            if line.startswith(f"{tag} "):
                if not line.startswith(f"{tag} OK"):
                    raise ProbeError(reason, f"{what} was refused: {line[len(tag) + 1 :][:200]}")
                return
        raise ProbeError(CheckReason.PROTOCOL, f"{what}: the answer does not end")


def _quoted(text: str) -> str:
    if "\r" in text or "\n" in text:
        raise ProbeError(CheckReason.AUTHENTICATION, "user or password contains a line break")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
