"""Prometheus's hash of a label set, which `limit_ratio` samples by.

xxHash64 (seed 0) over the labels as Prometheus lays them out in memory: for each pair in order, the name's and the
value's length (one byte, or 255 and three bytes little endian) before its bytes.
Source: the xxHash specification, github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from tocsin.model.labels import Labels

_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
)  # fmt: skip
_MASK = 0xFFFFFFFFFFFFFFFF


@lru_cache(maxsize=65_536)
def label_hash(labels: Labels) -> int:
    out = bytearray()
    for pair in labels.pairs:
        for text in pair:
            data = text.encode("utf-8", "surrogateescape")
            out += bytes([len(data)]) if len(data) < 255 else b"\xff" + len(data).to_bytes(3, "little")
            out += data
    return xxhash64(bytes(out))


def xxhash64(data: bytes) -> int:
    size, at = len(data), 0
    if size >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, (-_P1) & _MASK]
        while at + 32 <= size:
            for i, word in enumerate(struct.unpack_from("<4Q", data, at)):
                lanes[i] = _round(lanes[i], word)
            at += 32
        h = sum(_rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            h = ((h ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        h = _P5
    h = (h + size) & _MASK
    while at + 8 <= size:
        h = (_rotate(h ^ _round(0, struct.unpack_from("<Q", data, at)[0]), 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= size:
        h = (_rotate(h ^ (struct.unpack_from("<I", data, at)[0] * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        h = _rotate(h ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    h = (h ^ (h >> 33)) * _P2 & _MASK
    h = (h ^ (h >> 29)) * _P3 & _MASK
    return h ^ (h >> 32)


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _MASK, 31) * _P1 & _MASK
