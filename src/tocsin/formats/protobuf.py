"""The wire format of protocol buffers, as far as a reader of messages needs it. Bounds-checked; no generated code."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10


class BodyError(ValueError):
    """The body cannot be taken at all; `status` is the HTTP status for the sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A varint and the place after it. Raises BodyError, IndexError."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    for place in range(at + 1, at + _MAX_VARINT):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place + 1
        shift += 7
    raise BodyError(400, "a varint has more than ten bytes")


def signed(value: int) -> int:
    """A varint of type int64 as a number."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, wire type, start, end) of each field of a message; the content of BYTES without its length. Raises BodyError."""
    at = start
    while at < end:
        key, at = varint(data, at)
        wire, first = key & 7, at
        if wire == VARINT:
            _, at = varint(data, at)
        elif wire == FIXED64:
            at += 8
        elif wire == BYTES:
            length, first = varint(data, at)
            at = first + length
        elif wire == FIXED32:
            at += 4
        else:
            raise BodyError(400, f"wire type {wire} does not exist here")
        if at > end:
            raise BodyError(400, "a field runs over the end of its message")
        yield key >> 3, wire, first, at
