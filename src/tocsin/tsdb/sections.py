"""Files made of sections, each with its own checksum: damage costs one section.

[magic u32][kind u32][length u32][crc32 u32 of kind, length, payload] payload   ...

Small sections may travel together in one: zstd of [kind u32][length u32] payload ...
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

import cramjam

from tocsin.tsdb import damage

Buffer = bytes | memoryview
_SECTION = struct.Struct("<IIII")
HEADER = _SECTION.size
_MAGIC = 0x4254_4354  # "TCTB"
_INNER = struct.Struct("<II")
_TOGETHER = 0xFFFF_FFFF
SMALL = 4096
_MOST = 32_768
"""Bytes of small sections that damage may cost at once."""


def pack(kind: int, payload: bytes) -> bytes:
    check = zlib.crc32(payload, zlib.crc32(struct.pack("<II", kind, len(payload))))
    return _SECTION.pack(_MAGIC, kind, len(payload), check) + payload


def pack_all(listed: Iterable[tuple[int, bytes]]) -> list[bytes]:
    """Sections (kind, payload) in this order but that small ones come together: each would be half header, and names of
    metrics repeat."""
    out: list[bytes] = []
    small: list[bytes] = []
    size = 0

    def close() -> None:
        nonlocal size
        if small:
            out.append(pack(_TOGETHER, bytes(cramjam.zstd.compress(b"".join(small), level=6))))
        small.clear()
        size = 0

    for kind, payload in listed:
        if len(payload) > SMALL:
            out.append(pack(kind, payload))
            continue
        if size + len(payload) + _INNER.size > _MOST:
            close()
        small.append(_INNER.pack(kind, len(payload)) + payload)
        size += len(small[-1])
    close()
    return out


def _inner(payload: Buffer) -> Iterator[tuple[int, Buffer]]:
    room = bytearray(_MOST + SMALL)
    data, at = memoryview(room)[: cramjam.zstd.decompress_into(payload, room)], 0
    while at < len(data):
        kind, length = _INNER.unpack_from(data, at)
        at += _INNER.size
        yield kind, data[at : at + length]
        at += length


def unpack(data: Buffer, *, part: str, where: str) -> Iterator[tuple[int, Buffer]]:
    """Intact sections (kind, payload), also of those that travel together; damaged ones are reported and searched past."""
    for kind, payload in outer(data, part=part, where=where):
        if kind != _TOGETHER:
            yield kind, payload
            continue
        try:
            yield from _inner(payload)
        except (cramjam.DecompressionError, struct.error) as error:
            damage.report(part, where, f"sections that travel together: {error}")


def outer(data: Buffer, *, part: str, where: str) -> Iterator[tuple[int, Buffer]]:
    """Intact sections as they stand in the file."""
    at = 0
    while at + _SECTION.size <= len(data):
        magic, kind, length, check = _SECTION.unpack_from(data, at)
        payload = data[at + _SECTION.size : at + _SECTION.size + length]
        good = magic == _MAGIC and len(payload) == length
        if good and zlib.crc32(payload, zlib.crc32(data[at + 4 : at + 12])) == check:
            yield kind, payload
            at += _SECTION.size + length
            continue
        damage.report(part, where, "damaged section", position=at)
        # A payload may hold anything, so a length is only believed when a section follows where it says.
        believed = at + _SECTION.size + length
        if magic == _MAGIC and data[believed : believed + 4] == struct.pack("<I", _MAGIC):
            at = believed
            continue
        found = bytes(data[at + 1 :]).find(struct.pack("<I", _MAGIC))
        if found < 0:
            return
        at += 1 + found
    if at < len(data):
        damage.report(part, where, "the file is cut short", position=at)
