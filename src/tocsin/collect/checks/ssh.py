"""An SSH server greets."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.fields import Host, LatencyMs, Pattern, Port, address_text, host_and_port, search
from tocsin.collect.io import Io
from tocsin.collect.lines import read_line
from tocsin.collect.outcome import Outcome, ProbeError, failed, passed, slow
from tocsin.model.check import CheckReason

_MOST_LINES = 50
"""RFC 4253 4.2 lets a server say other lines before its version."""


@check("ssh")
class Ssh(Check):
    """An SSH server names its protocol version; no sign-in is tried."""

    example = '{name: bastion, ssh: "bastion.example:22", expect: OpenSSH_9}'
    waits_in_phases = True
    evidence = "banner"

    host: Host
    port: Port = 22
    expect: Pattern = Field("", description="regular expression that the version line must match, such as OpenSSH_9")
    latency: LatencyMs = Field(0, description="a slower greeting is degraded, such as < 500ms")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return host_and_port(value, default_port=22)

    @property
    def target(self) -> str:
        return address_text(self.host, self.port)

    async def run(self, io: Io) -> Outcome:
        connection = await io.connect(self.host, self.port)
        try:
            with io.phase("greeting", "waiting for the version line"):
                banner = ""
                for _ in range(_MOST_LINES):
                    banner = await read_line(connection, "the version line")
                    if banner.startswith("SSH-"):
                        break
                else:
                    raise ProbeError(CheckReason.PROTOCOL, f"no SSH version line; the last line was {banner[:80]!r}")
        finally:
            connection.close()
        facts = {"banner": banner[:255]}
        if not banner.startswith(("SSH-2.0-", "SSH-1.99-")):
            return failed(CheckReason.PROTOCOL, f"the server speaks {banner[:40]!r}, expected SSH 2", facts)
        if self.expect and not search(self.expect, banner):
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{banner[:100]!r} does not match {self.expect!r}", facts)
        said = f"{banner[:60]} in {io.waited_ms():.0f} ms"
        return slow(self.latency, io.waited_ms(), said, facts) or passed(said, facts)
