"""HTTP/1.1 as uvicorn speaks it, for clients who take their time: a head has a deadline and a size, connections a number.

Bodies have theirs in `limits`; without this one, a few hundred sockets that never finish a header would be kept for ever.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tocsin.clock import Clock, SystemClock
from tocsin.metrics import Counter

HEAD_S = 10.0
"""A head that has begun must be complete within this."""
MOST_HEAD_BYTES = 64 * 1024
MOST_CONNECTIONS = 4096

refused_connections = Counter(
    "tocsin_web_connections_refused_total", "Connections closed before they were a request.", ["reason"]
)


class DateHeader:
    """The `date` of answers, made once a second and only while there are any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._lines: list[tuple[bytes, bytes]] = []

    def lines(self) -> list[tuple[bytes, bytes]]:
        second = self._clock.now_ms() // 1000
        if second != self._second:
            self._second, self._lines = second, [(b"date", formatdate(second, usegmt=True).encode())]
        return self._lines


class PatientProtocol(HttpToolsProtocol):
    """One connection. Subclass with other figures to serve with them."""

    head_s = HEAD_S
    most_head_bytes = MOST_HEAD_BYTES
    most_connections = MOST_CONNECTIONS
    date = DateHeader(SystemClock())

    _deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))  # uvloop's transports are no subclasses of it
        self.server_state.default_headers = self.date.lines()
        self._begin_deadline()
        if len(self.connections) > self.most_connections:
            self._refuse("too_many")

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began_before = self._in_head
        super().data_received(data)
        # The parser tells of whole headers only; one that never ends is counted here.
        if self._in_head and began_before:
            self._head_bytes += len(data)
            if self._head_bytes > self.most_head_bytes:
                self._refuse("head_too_large")

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._begin_deadline()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._forget_deadline()
        self.server_state.default_headers = self.date.lines()
        super().on_headers_complete()

    def _begin_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_s, self._refuse, "head_too_slow")

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, reason: str) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            refused_connections.inc(reason)
            self.transport.abort()
