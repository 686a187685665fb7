"""AMQP 0-9-1, the client's side, as far as a check goes: sign in, open a channel, look at a queue without declaring it.

    frame   type:1 channel:2 size:4 payload:size 0xCE          method   class:2 method:2 arguments

Source: the AMQP 0-9-1 specification; table field types as RabbitMQ writes them. Everything read is bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.collect.io import Connection
from tocsin.collect.outcome import ProbeError
from tocsin.model.check import CheckReason

_HELLO = b"AMQP\x00\x00\x09\x01"
_END = 0xCE
_METHOD, _HEARTBEAT = 1, 8
_MOST_FRAME = 131_072
_MOST_DEPTH = 8

START, START_OK, TUNE, TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
OPEN, OPEN_OK, CLOSE = (10, 40), (10, 41), (10, 50)
BLOCKED = (10, 60)
CHANNEL_OPEN, CHANNEL_OPEN_OK, CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
DECLARE, DECLARE_OK = (50, 10), (50, 11)


class AmqpClosed(Exception):
    """The server closed the connection or the channel, saying why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


@dataclass(frozen=True, slots=True)
class Queue:
    """What a passive declaration says. `messages`: ready to be delivered."""

    messages: int
    consumers: int


class AmqpClient:
    """One connection with one channel, one question at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def start(self) -> dict[str, Any]:
        """The server's properties (product, version, cluster_name). Raises ProbeError for what is not AMQP 0-9-1."""
        await self._connection.send(_HELLO)
        head = await self._connection.reader.readexactly(7)
        if head.startswith(b"AMQP"):
            raise ProbeError(CheckReason.PROTOCOL, f"the server wants another version of AMQP: {head[4:]!r}")
        arguments = await self._expected(START, head)
        mechanisms = b""
        try:
            major_minor, properties, rest = arguments[:2], *_table(arguments[2:], 0)
            mechanisms = _long(rest)[0]
        except (struct.error, IndexError, ValueError):
            raise ProbeError(CheckReason.PROTOCOL, "the server's greeting cannot be read") from None
        if major_minor != b"\x00\x09" or b"PLAIN" not in mechanisms.split():
            raise ProbeError(CheckReason.PROTOCOL, f"the server offers no sign-in with a password ({mechanisms[:100]!r})")
        return properties

    async def sign_in(self, user: str, password: str, vhost: str) -> None:
        """Raises AmqpClosed where the server refuses the user (403) or the virtual host (530)."""
        # With this capability the server says why it refuses a password; else it just hangs up.
        capabilities = _field("capabilities", {"authentication_failure_close": True})
        properties = _as_long(_field("product", "Tocsin") + capabilities)
        response = b"\x00" + user.encode() + b"\x00" + password.encode()
        await self._send(0, START_OK, properties + _as_short("PLAIN") + _as_long(response) + _as_short("en_US"))
        await self._expected(TUNE)
        await self._send(0, TUNE_OK, struct.pack(">HIH", 1, _MOST_FRAME, 0))
        await self._send(0, OPEN, _as_short(vhost) + _as_short("") + b"\x00")
        await self._expected(OPEN_OK)
        await self._send(1, CHANNEL_OPEN, _as_short(""))
        await self._expected(CHANNEL_OPEN_OK)

    async def queue(self, name: str) -> Queue:
        """Depth and consumers of a queue that exists. Raises AmqpClosed where it does not (404) or may not be seen (403)."""
        passive = b"\x01"
        await self._send(1, DECLARE, struct.pack(">H", 0) + _as_short(name) + passive + _as_long(b""))
        arguments = await self._expected(DECLARE_OK)
        try:
            length = arguments[0]
            return Queue(*struct.unpack_from(">II", arguments, 1 + length))
        except (struct.error, IndexError):
            raise ProbeError(CheckReason.PROTOCOL, "the server's answer about the queue cannot be read") from None

    async def close(self) -> None:
        """A polite goodbye, not waited for: the broker logs connections that just vanish."""
        await self._send(0, CLOSE, struct.pack(">H", 200) + _as_short("done") + struct.pack(">HH", 0, 0))

    # -- frames --------------------------------------------------------------------------------------------------------

    async def _send(self, channel: int, method: tuple[int, int], arguments: bytes) -> None:
        payload = struct.pack(">HH", *method) + arguments
        await self._connection.send(struct.pack(">BHI", _METHOD, channel, len(payload)) + payload + bytes([_END]))

    async def _expected(self, method: tuple[int, int], head: bytes = b"") -> bytes:
        """Arguments of the method that must come now."""
        while True:
            found, arguments = await self._next(head)
            head = b""
            if found == method:
                return arguments
            if found in (CLOSE, CHANNEL_CLOSE):
                raise _closed(arguments)
            if found not in (None, BLOCKED):
                raise ProbeError(CheckReason.PROTOCOL, f"the server sent method {found}, expected {method}")

    async def _next(self, head: bytes) -> tuple[tuple[int, int] | None, bytes]:
        """A method and its arguments; None for a heartbeat."""
        kind, _, size = struct.unpack(">BHI", head or await self._connection.reader.readexactly(7))
        if kind not in (_METHOD, _HEARTBEAT) or size > _MOST_FRAME:
            raise ProbeError(CheckReason.PROTOCOL, f"the answer is not AMQP 0-9-1; it begins with {head[:7]!r}")
        payload = await self._connection.reader.readexactly(size + 1)
        if payload[-1] != _END or (kind == _METHOD and size < 4):
            raise ProbeError(CheckReason.PROTOCOL, "the server sent a broken frame")
        if kind == _HEARTBEAT:
            return None, b""
        class_id, method_id = struct.unpack_from(">HH", payload)
        return (class_id, method_id), payload[4:-1]


def _closed(arguments: bytes) -> AmqpClosed:
    code = int.from_bytes(arguments[:2], "big")
    length = arguments[2] if len(arguments) > 2 else 0
    return AmqpClosed(code, arguments[3 : 3 + length].decode("utf-8", "replace") or "the connection was closed")


# -- values ------------------------------------------------------------------------------------------------------------


def _as_short(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ProbeError(CheckReason.PROTOCOL, f"{text[:40]!r}... is longer than the 255 bytes that AMQP allows")
    return bytes([len(data)]) + data


def _as_long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _field(name: str, value: str | Mapping[str, bool]) -> bytes:
    if isinstance(value, str):
        return _as_short(name) + b"S" + _as_long(value.encode())
    return _as_short(name) + b"F" + _as_long(b"".join(_as_short(key) + b"t" + bytes([flag]) for key, flag in value.items()))


def _long(data: bytes) -> tuple[bytes, bytes]:
    size = int(struct.unpack_from(">I", data)[0])
    if size > len(data) - 4:
        raise ValueError("a text longer than its frame")
    return data[4 : 4 + size], data[4 + size :]


_NUMBERS = {
    b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q", b"T": ">Q", b"f": ">f", b"d": ">d",
}  # fmt: skip


def _table(data: bytes, depth: int) -> tuple[dict[str, Any], bytes]:
    """A field table and what follows it. Raises struct.error, IndexError, ValueError."""
    if depth > _MOST_DEPTH:
        raise ValueError("tables within tables without end")
    inner, rest = _long(data)
    out: dict[str, Any] = {}
    while inner:
        length = inner[0]
        name, inner = inner[1 : 1 + length].decode("utf-8", "replace"), inner[1 + length :]
        out[name], inner = _value(inner, depth)
    return out, rest


def _value(data: bytes, depth: int) -> tuple[Any, bytes]:
    kind, data = data[:1], data[1:]
    if kind in _NUMBERS:
        size = struct.calcsize(_NUMBERS[kind])
        return struct.unpack_from(_NUMBERS[kind], data)[0], data[size:]
    match kind:
        case b"t":
            return bool(data[0]), data[1:]
        case b"S" | b"x" | b"A":  # an array is skipped: nothing of it is shown
            text, rest = _long(data)
            return text.decode("utf-8", "replace"), rest
        case b"F":
            return _table(data, depth + 1)
        case b"V":
            return None, data
        case b"D":
            return None, data[5:]
    raise ValueError(f"unknown field type {kind!r}")
