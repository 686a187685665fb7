"""Writing protocol buffers: fields, and the labels and samples that Prometheus's messages share."""

from __future__ import annotations

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Float64, Int64

_WHOLE = 0xFFFFFFFFFFFFFFFF
_ORDINARY = 18
"""Bytes of an ordinary sample field: 0x12 0x10 | 0x09 double | 0x10 varint of 6 bytes (any instant from 2004 to 2109)."""
_SIX_LOW, _SIX_HIGH = 1 << 35, 1 << 42


def to_varint(value: int) -> bytes:
    """A number >= 0."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(field: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return to_varint(field << 3 | 2) + to_varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    """A field of type int64; zero is left out, as writers of proto3 do."""
    return to_varint(field << 3) + to_varint(value & _WHOLE) if value else b""


def labels_fields(labels: Labels, field: int = 1) -> bytes:
    """`repeated Label labels`, each {name = 1, value = 2}."""
    return b"".join(
        [delimited(field, delimited(1, name.encode()) + delimited(2, value.encode())) for name, value in labels.pairs]
    )


def sample_fields(t_ms: Int64, values: Float64) -> bytes:
    """`repeated Sample samples = 2`, each {double value = 1, int64 timestamp = 2}; arrays of equal length."""
    rows = ordinary_samples(t_ms, values)
    if rows is not None:
        return rows.tobytes()
    pairs = zip(t_ms.tolist(), values, strict=True)
    return b"".join([delimited(2, b"\x09" + value.tobytes() + b"\x10" + to_varint(t & _WHOLE)) for t, value in pairs])


def ordinary_samples(t_ms: Int64, values: Float64) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]] | None:
    """The fields as rows of bytes, uint8 [n, 18]; None when a time is out of the ordinary."""
    if len(t_ms) and not (int(t_ms.min()) >= _SIX_LOW and int(t_ms.max()) < _SIX_HIGH):
        return None
    rows = np.empty((len(t_ms), _ORDINARY), np.uint8)
    rows[:, :3] = (0x12, 0x10, 0x09)
    rows[:, 3:11] = np.ascontiguousarray(values, np.float64)[:, None].view(np.uint8)
    rows[:, 11] = 0x10
    digits = t_ms[:, None] >> (7 * np.arange(6)) & 0x7F
    digits[:, :5] |= 0x80
    rows[:, 12:] = digits
    return rows
