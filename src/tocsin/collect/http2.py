"""One HTTP/2 exchange on an open connection, phases measured as for HTTP/1.1 and everything bounded. gRPC stands on it too.

The connection speaks HTTP/2 because both sides agreed in TLS (ALPN), or because the caller knows it (h2c, prior knowledge).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from hpack.exceptions import HPACKError

from tocsin.collect.http1 import Answer, decoded
from tocsin.collect.io import Connection, Io
from tocsin.collect.outcome import ProbeError
from tocsin.model.check import CheckReason

_READ = 1 << 16
_MOST_HEADER_BYTES = 1 << 18
_HOP_HEADERS = {"connection", "host", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"}
"""Belong to HTTP/1.1's connection: RFC 9113 8.2.2 forbids them."""


def http2_headers(
    method: str, scheme: str, authority: str, path: str, headers: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Pseudo-headers first, then the rest without HTTP/1.1's connection headers, names in lower case."""
    own = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [*own, *((name.lower(), value) for name, value in headers if name.lower() not in _HOP_HEADERS)]


async def exchange2(
    io: Io, connection: Connection, headers: Sequence[tuple[str, str]], body: bytes = b"", *, most_bytes: int
) -> Answer:
    """Send one request and read its answer. Raises ProbeError for what is not HTTP/2, OSError for the connection."""
    stream = _Stream(connection, most_bytes)
    try:
        with io.phase("processing", "waiting for the first byte of the answer"):
            await stream.ask(headers, body)
            while not stream.answer.status and not stream.ended:
                await stream.read()
        with io.phase("transfer", "reading the answer"):
            while not stream.ended and not stream.answer.cut:
                await stream.read()
    except (H2Error, HPACKError) as error:
        raise ProbeError(CheckReason.PROTOCOL, f"the answer is not HTTP/2: {error}") from None
    if not stream.answer.status:
        raise ProbeError(CheckReason.PROTOCOL, "the stream ended without an answer")
    stream.answer.body = decoded(bytes(stream.body[:most_bytes]), stream.answer, most_bytes)
    return stream.answer


class _Stream:
    """The only stream of a connection of our own."""

    def __init__(self, connection: Connection, most_bytes: int) -> None:
        self.answer = Answer(version="2")
        self.body = bytearray()
        self.ended = False
        self._connection = connection
        self._most_bytes = most_bytes
        self._id = 1
        config = H2Configuration(client_side=True, header_encoding="utf-8")
        self._h2 = H2Connection(config=config)
        self._h2.local_settings.max_header_list_size = _MOST_HEADER_BYTES
        self._h2.local_settings.enable_push = 0

    async def ask(self, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        self._h2.initiate_connection()
        self._id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(self._id, headers, end_stream=not body)
        await self._flush()
        while body and not self.ended:
            most = min(self._h2.local_flow_control_window(self._id), self._h2.max_outbound_frame_size)
            if most <= 0:
                await self.read()  # the other side must first grant room
                continue
            part, body = body[:most], body[most:]
            self._h2.send_data(self._id, part, end_stream=not body)
            await self._flush()

    async def read(self) -> None:
        """Take what comes next."""
        data = await self._connection.reader.read(_READ)
        if not data:
            raise ProbeError(CheckReason.PROTOCOL, "the connection was closed before the answer was complete")
        for event in self._h2.receive_data(data):
            self._take(event)
        await self._flush()

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                self.answer.headers = _texts(event.headers)
                self.answer.status = int(dict(self.answer.headers).get(":status", "0"))
                self.answer.headers = [(name, value) for name, value in self.answer.headers if not name.startswith(":")]
            case DataReceived():
                self.body += event.data or b""
                self.answer.cut = len(self.body) > self._most_bytes
                if event.flow_controlled_length and not self.answer.cut:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, self._id)
            case TrailersReceived():
                self.answer.trailers = _texts(event.headers)
            case StreamEnded():
                self.ended = True
            case StreamReset():
                raise ProbeError(CheckReason.RESET, f"the server reset the stream ({_code(event.error_code)})")
            case ConnectionTerminated() if not self.ended:
                raise ProbeError(CheckReason.PROTOCOL, f"the server ended the connection ({_code(event.error_code)})")

    async def _flush(self) -> None:
        if data := self._h2.data_to_send():
            await self._connection.send(data)


def _texts(headers: Iterable[tuple[str | bytes, str | bytes]] | None) -> list[tuple[str, str]]:
    return [(_text(name).lower(), _text(value)) for name, value in headers or ()]


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _code(code: ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, ErrorCodes) else f"code {code}"
