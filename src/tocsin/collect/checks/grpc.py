"""A gRPC server says that a service serves (grpc.health.v1)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pydantic import Field

from tocsin.collect.certificate import expiry_outcome, tls_samples
from tocsin.collect.check import Check, check
from tocsin.collect.fields import DurationMs, Host, LatencyMs, Part, Port, address_text, host_and_port
from tocsin.collect.http1 import Answer
from tocsin.collect.http2 import exchange2, http2_headers
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, ProbeError, Sample, degraded, failed, passed
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_DAY_MS = 86_400_000
_MOST_BYTES = 65_536
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_REASONS = {
    "DEADLINE_EXCEEDED": CheckReason.TIMEOUT,
    "PERMISSION_DENIED": CheckReason.AUTHENTICATION,
    "UNAUTHENTICATED": CheckReason.AUTHENTICATION,
    "UNIMPLEMENTED": CheckReason.PROTOCOL,
}


class GrpcExpect(Part):
    """What must hold beside SERVING."""

    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 100ms")


@check("grpc")
class Grpc(Check):
    """A gRPC server answers the standard health question (`grpc.health.v1.Health/Check`) with SERVING."""

    example = "{name: orders, grpc: {host: orders.internal, port: 50051, service: shop.v1.Orders, tls: true}}"
    waits_in_phases = True
    evidence = "serving, grpc_status, grpc_message, certificate chain"

    host: Host
    port: Port = 50051
    service: str = Field("", max_length=500, description="service to ask about, such as shop.v1.Orders; empty = the whole server")
    tls: bool = False
    tls_verify: bool = True
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = Field("", description="name to ask for and to verify; default the host")
    metadata: dict[str, str] = Field({}, repr=False, description="metadata to send, such as authorization")
    expires_warning: DurationMs = Field(14 * _DAY_MS, description="degraded when the certificate expires within this time")
    expect: GrpcExpect = GrpcExpect()

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return host_and_port(value, default_port=50051)

    @property
    def target(self) -> str:
        return f"{address_text(self.host, self.port)}{f'/{self.service}' if self.service else ''}"

    async def run(self, io: Io) -> Outcome:
        connection = await io.connect(self.host, self.port, tls=self._tls_options())
        try:
            if self.tls and io.trace.facts["tls"]["alpn"] != "h2":
                raise ProbeError(CheckReason.PROTOCOL, "the server did not agree to HTTP/2, which gRPC needs (ALPN h2)")
            answer = await exchange2(io, connection, self._headers(io), _question(self.service), most_bytes=_MOST_BYTES)
        finally:
            connection.close()
        return self._judge(io, answer, io.waited_ms())

    def _tls_options(self) -> TlsOptions | None:
        if not self.tls:
            return None
        return TlsOptions(self.server_name, self.tls_verify, self.ca_file, self.certificate_file, self.key_file, alpn=("h2",))

    def _headers(self, io: Io) -> list[tuple[str, str]]:
        authority = address_text(self.server_name or self.host, self.port)
        deadline = f"{min(int(io.timeout_s * 1000), 99_999_999)}m"
        own = [("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "Tocsin"), ("grpc-timeout", deadline)]
        path = "/grpc.health.v1.Health/Check"
        return http2_headers("POST", "https" if self.tls else "http", authority, path, [*own, *self.metadata.items()])

    def _judge(self, io: Io, answer: Answer, duration_ms: float) -> Outcome:
        if answer.status != 200:
            raise ProbeError(CheckReason.STATUS, f"HTTP {answer.status} instead of a gRPC answer", {"status": answer.status})
        said = {**dict(answer.headers), **dict(answer.trailers)}
        if not said.get("content-type", "").startswith("application/grpc"):
            raise ProbeError(CheckReason.PROTOCOL, f"the answer is {said.get('content-type', 'nothing')!r}, not gRPC")
        code = _code(said.get("grpc-status", ""))
        message = unquote(said.get("grpc-message", ""))[:500]
        facts = {"grpc_status": code, "grpc_message": message, "service": self.service}
        samples: tuple[Sample, ...] = (("probe_grpc_status_code", {}, float(_CODES.index(code))), *self._phases(io))
        if code == "NOT_FOUND":
            return failed(CheckReason.UNEXPECTED_ANSWER, self._not_known(), {**facts, "serving": "SERVICE_UNKNOWN"}, samples)
        if code != "OK":
            hint = ": it has no health service" if code == "UNIMPLEMENTED" else f": {message}" if message else ""
            return failed(_REASONS.get(code, CheckReason.QUERY), f"the server answered {code}{hint}", facts, samples)
        serving = _serving(answer.body)
        facts["serving"] = serving
        samples += tuple(("probe_grpc_healthcheck_response", {"serving_status": s}, float(s == serving)) for s in _STATUSES)
        samples += tls_samples(io.trace.facts.get("tls"))
        return self._verdict(io, serving, duration_ms, facts, samples)

    def _verdict(self, io: Io, serving: str, duration_ms: float, facts: dict[str, Any], samples: tuple[Sample, ...]) -> Outcome:
        said = f"{serving} in {duration_ms:.0f} ms"
        if serving != "SERVING":
            text = self._not_known() if serving == "SERVICE_UNKNOWN" else f"the server says {serving}"
            return failed(CheckReason.UNEXPECTED_ANSWER, text, facts, samples)
        if self.expect.latency and duration_ms > self.expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(self.expect.latency)}", facts, samples)
        return expiry_outcome(io, self.expires_warning, said, facts, samples) or passed(said, facts, samples)

    def _not_known(self) -> str:
        return f"the server does not know the service {self.service!r}" if self.service else "the server's state is not known"

    def _phases(self, io: Io) -> tuple[Sample, ...]:
        return tuple(("probe_grpc_duration_seconds", {"phase": phase.name}, phase.ms / 1000) for phase in io.trace.phases)


def _question(service: str) -> bytes:
    """HealthCheckRequest{service = 1} in gRPC's framing: not compressed, length, message."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _serving(body: bytes) -> str:
    """The status in HealthCheckResponse{status = 1}; an absent field is its default, UNKNOWN. Raises ProbeError."""
    if len(body) < 5 or body[0] != 0 or int.from_bytes(body[1:5], "big") != len(body) - 5:
        raise ProbeError(CheckReason.PROTOCOL, f"the answer is not one plain gRPC message; it begins with {body[:20]!r}")
    message = body[5:]
    if not message:
        return _STATUSES[0]
    if message[0] != 0x08 or len(message) < 2 or message[1] >= len(_STATUSES):
        raise ProbeError(CheckReason.PROTOCOL, f"the answer is not a health answer: {message[:20]!r}")
    return _STATUSES[message[1]]


def _code(text: str) -> str:
    if text.isascii() and text.isdigit() and int(text) < len(_CODES):
        return _CODES[int(text)]
    raise ProbeError(CheckReason.PROTOCOL, f"the answer has no gRPC status that is known ({text[:20]!r})")
