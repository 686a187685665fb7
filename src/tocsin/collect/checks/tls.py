"""A server's certificate is trusted and does not expire soon."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tocsin.collect.certificate import expiry_outcome, tls_samples
from tocsin.collect.check import Check, check
from tocsin.collect.fields import DurationMs, Host, Port, address_text, host_and_port
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, failed, passed
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason
from tocsin.model.duration import human_duration

_DAY_MS = 86_400_000
_ORDER = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


@check("tls")
class Tls(Check):
    """A TLS server presents a trusted certificate for its name that is valid for some time yet."""

    example = '{name: certificate, tls: "shop.example:443", expires_warning: 21d}'
    waits_in_phases = True
    evidence = "certificate chain: subject, issuer, names, dates, serial, SHA-256"

    host: Host
    port: Port = 443
    server_name: str = Field("", description="name to ask for and to verify; default the host")
    ca_file: str = Field("", description="PEM file of the authorities to trust instead of the system's")
    verify: bool = True
    expires_warning: DurationMs = Field(14 * _DAY_MS, description="degraded when it expires within this time; 0s = never")
    expires_failure: DurationMs = Field(0, description="fails when it expires within this time")
    min_version: Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    ip: Literal["any", "4", "6"] = "any"

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return host_and_port(value, default_port=443)

    @property
    def target(self) -> str:
        return address_text(self.host, self.port)

    async def run(self, io: Io) -> Outcome:
        options = TlsOptions(self.server_name, self.verify, self.ca_file)
        connection = await io.connect(self.host, self.port, tls=options, ip=self.ip)
        connection.close()
        tls = io.trace.facts["tls"]
        samples = tls_samples(tls)
        left_ms = tls["earliest_expiry_ms"] - io.now_ms()
        said = f"{tls['version']}, certificate valid for {human_duration(max(left_ms, 0))}"
        if _ORDER.index(self.min_version) > _ORDER.index(tls["version"]):
            return failed(
                CheckReason.TLS, f"the server speaks {tls['version']}, expected {self.min_version} or newer", {}, samples
            )
        if left_ms < self.expires_failure:
            reason = CheckReason.CERTIFICATE_EXPIRED if left_ms <= 0 else CheckReason.CERTIFICATE_EXPIRES_SOON
            return failed(reason, f"the certificate expires in {human_duration(max(left_ms, 0))}", {}, samples)
        return expiry_outcome(io, self.expires_warning, said, {}, samples) or passed(said, {}, samples)
