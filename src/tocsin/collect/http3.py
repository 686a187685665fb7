"""One HTTP/3 exchange over QUIC to an address that was judged. Needs the extra `http3` (aioquic).

QUIC connects and shakes hands in the same packets: the phase `connect` is empty here and `tls` holds both.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamReset
from cryptography.hazmat.primitives.serialization import Encoding

from tocsin.collect.http1 import Answer, decoded
from tocsin.collect.io import Io
from tocsin.collect.outcome import ProbeError
from tocsin.collect.tls import TlsOptions, certificate_facts
from tocsin.model.check import CheckReason

_CRYPTO_ERROR = 0x100
"""RFC 9000 20.1: 0x100 + the TLS alert."""
_CERTIFICATE_EXPIRED = 45
_MOST_CERTIFICATES = 10


async def exchange3(
    io: Io,
    address: str,
    port: int,
    host: str,
    options: TlsOptions,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    most_bytes: int,
) -> Answer:
    """Connect, ask, read one answer. Raises ProbeError and OSError."""
    protocol = _Client(QuicConnection(configuration=_configuration(io, options, host)), most_bytes)
    # A connected socket hears when nothing listens there.
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, remote_addr=(address, port))
    try:
        with io.phase("tls", f"shaking hands with {address}:{port} over QUIC"):
            protocol.connect(transport.get_extra_info("peername"))
            await protocol.reached(lambda: protocol.connected)
        io.trace.facts["address"] = f"{address}:{port}"
        io.trace.facts["tls"] = protocol.tls_facts()
        with io.phase("processing", "waiting for the first byte of the answer"):
            protocol.ask(headers, body)
            await protocol.reached(lambda: bool(protocol.answer.status))
        with io.phase("transfer", "reading the answer"):
            await protocol.reached(lambda: protocol.ended)
    finally:
        protocol.close()
        transport.abort()
    answer = protocol.answer
    answer.body = decoded(bytes(protocol.body[:most_bytes]), answer, most_bytes)
    return answer


def _configuration(io: Io, options: TlsOptions, host: str) -> QuicConfiguration:
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=H3_ALPN,
        server_name=options.server_name or host,
        idle_timeout=max(io.timeout_s, 1.0),
        verify_mode=None if options.verify else ssl.CERT_NONE,
        cafile=options.ca_file or ssl.get_default_verify_paths().cafile,
    )
    if options.certificate_file:
        configuration.load_cert_chain(options.certificate_file, options.key_file or None)
    return configuration


class _Client(QuicConnectionProtocol):
    """One connection with one request."""

    def __init__(self, quic: QuicConnection, most_bytes: int) -> None:
        super().__init__(quic)
        self.answer = Answer(version="3")
        self.body = bytearray()
        self.connected = False
        self.ended = False
        self._problem: Exception | None = None
        self._moved = asyncio.Event()
        self._http = H3Connection(quic)
        self._most_bytes = most_bytes

    async def reached(self, goal: Callable[[], bool]) -> None:
        """Wait for it, or raise what came instead."""
        while not goal():
            if self._problem is not None:
                raise self._problem
            self._moved.clear()
            await self._moved.wait()

    def ask(self, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        stream = self._quic.get_next_available_stream_id()
        self._http.send_headers(stream, [(name.encode(), value.encode()) for name, value in headers], end_stream=not body)
        if body:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()

    def tls_facts(self) -> dict[str, Any]:
        """As tls.facts_of; aioquic shows the chain nowhere but in its TLS engine."""
        leaf = getattr(self._quic.tls, "_peer_certificate", None)
        chain = [entry for entry in (leaf, *getattr(self._quic.tls, "_peer_certificate_chain", ())) if entry is not None]
        facts = [certificate_facts(entry.public_bytes(Encoding.DER)) for entry in chain[:_MOST_CERTIFICATES]]
        expiries = [entry["not_after_ms"] for entry in facts]
        return {
            "version": "TLSv1.3",
            "cipher": "",
            "alpn": H3_ALPN[0],
            "chain": facts,
            "earliest_expiry_ms": min(expiries, default=0),
            "last_expiry_ms": max(expiries, default=0),
        }

    def error_received(self, exc: Exception) -> None:
        """The other host says that nothing listens there."""
        self._fail(exc)

    def quic_event_received(self, event: QuicEvent) -> None:
        match event:
            case HandshakeCompleted():
                self.connected = True
            case ConnectionTerminated():
                self._fail(_terminated(event))
            case StreamReset():
                self._fail(ProbeError(CheckReason.RESET, f"the server reset the stream (code {event.error_code})"))
        for http_event in self._http.handle_event(event):
            if isinstance(http_event, HeadersReceived):
                self._headers([(_text(name).lower(), _text(value)) for name, value in http_event.headers])
                self.ended = self.ended or http_event.stream_ended
            elif isinstance(http_event, DataReceived):
                self.body += http_event.data
                self.answer.cut = len(self.body) > self._most_bytes
                self.ended = self.ended or http_event.stream_ended or self.answer.cut
        self._moved.set()

    def _headers(self, headers: list[tuple[str, str]]) -> None:
        status = int(dict(headers).get(":status", "0"))
        if self.answer.status:
            self.answer.trailers = headers
        elif status >= 200:
            self.answer.status = status
            self.answer.headers = [(name, value) for name, value in headers if not name.startswith(":")]

    def _fail(self, problem: Exception) -> None:
        self._problem = self._problem or problem
        self._moved.set()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _terminated(event: ConnectionTerminated) -> ProbeError:
    alert = event.error_code - _CRYPTO_ERROR
    if 0 <= alert < 0x100:
        reason = CheckReason.CERTIFICATE_EXPIRED if _expired(alert, event.reason_phrase) else CheckReason.TLS
        return ProbeError(reason, f"TLS failed: {event.reason_phrase or f'alert {alert}'}")
    if event.reason_phrase == "Idle timeout":
        return ProbeError(CheckReason.TIMEOUT, "no answer over QUIC")
    text = event.reason_phrase or f"code {event.error_code}"
    return ProbeError(CheckReason.PROTOCOL, f"the connection was ended: {text}")


def _expired(alert: int, text: str) -> bool:
    # aioquic names an expired certificate in words only, under the alert `bad certificate`.
    return alert == _CERTIFICATE_EXPIRED or "expired" in text.lower() or "no longer valid" in text.lower()
