"""Files made of sections, each with its own checksum: damage costs one section.

[magic u32][kind u32][length u32][crc32 u32 of kind, length, payload] payload   ...
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from tocsin.tsdb import damage

Buffer = bytes | memoryview
_SECTION = struct.Struct("<IIII")
HEADER = _SECTION.size
_MAGIC = 0x4254_4354  # "TCTB"


def pack(kind: int, payload: bytes) -> bytes:
    check = zlib.crc32(payload, zlib.crc32(struct.pack("<II", kind, len(payload))))
    return _SECTION.pack(_MAGIC, kind, len(payload), check) + payload


def unpack(data: Buffer, *, part: str, where: str) -> Iterator[tuple[int, Buffer]]:
    """Intact sections (kind, payload); damaged ones are reported and searched past."""
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
