"""The codec of sealed head chunks: rows of a window, readable one by one, 22 ns per sample to write.

Drawn in docs/formats/head-chunks.md. A row is constant (bits equal: 8 bytes in all), integer (first value, smallest
step, steps minus that in 1, 2, 4 or 8 bytes) or raw. Cells without a sample are bits of a mask, and are filled with the
neighbour before coding, so that a missed scrape does not spoil an integer row.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from tocsin.model.series import ABSENT_BITS, Bool, Float64, Int64

_HEAD = struct.Struct(
    "<HHBBxxHHHHHHxxxx"
)  # rows, columns, has_holes, version, integer rows by width 1 2 4 8, raw rows, constants
_VERSION = 1
_CONSTANT, _INT1, _INT2, _INT4, _INT8, _RAW = range(6)
_WIDTHS: tuple[npt.DTypeLike, ...] = (np.uint8, np.uint16, np.uint32, np.uint64)
_EXACT = float(2**53)


def encode(values: Float64) -> bytes:
    """values [k, m], k and m below 65536 -> bytes. ABSENT cells become holes; every other bit pattern survives."""
    rows, columns = values.shape
    bits = values.view(np.uint64)
    absent = bits == np.uint64(ABSENT_BITS)
    has_holes = bool(absent.any())
    if has_holes:
        bits = filled(bits, absent)
        values = bits.view(np.float64)
    kind, steps, lowest = _classify(values, bits)
    position = np.zeros(rows, np.uint16)
    counts = []
    for code in range(6):
        members = np.flatnonzero(kind == code)
        position[members] = np.arange(len(members))
        counts.append(len(members))
    integer = np.flatnonzero((kind >= _INT1) & (kind <= _INT8))
    width_of = kind[integer]
    parts = [
        _HEAD.pack(rows, columns, has_holes, _VERSION, *counts[_INT1 : _RAW + 1], counts[_CONSTANT]),
        values[:, 0].tobytes(),
        *(lowest[width_of == code].tobytes() for code in range(_INT1, _RAW)),
        values[kind == _RAW].tobytes(),
    ]
    for code in (_INT8, _INT4, _INT2):
        parts.append(steps[width_of == code].astype(_WIDTHS[code - 1]).tobytes())
    parts.append(position.tobytes())
    parts.append(steps[width_of == _INT1].astype(np.uint8).tobytes())
    parts.append(kind.tobytes())
    if has_holes:
        parts.append(np.packbits(~absent, axis=1).tobytes())
    return b"".join(parts)


def filled(bits: npt.NDArray[np.uint64], absent: Bool) -> npt.NDArray[np.uint64]:
    """Holes take the value before them, leading ones the value after; an empty row becomes zero."""
    columns = bits.shape[1]
    source = np.where(absent, -1, np.arange(columns))
    np.maximum.accumulate(source, axis=1, out=source)
    leading = source < 0
    first = np.argmax(~absent, axis=1)
    source = np.where(leading, first[:, None], source)
    out = np.take_along_axis(bits, source, axis=1)
    out[absent.all(1)] = 0
    return out


def _classify(values: Float64, bits: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint8], Int64, Int64]:
    """Kind of each row; for integer rows, in row order, their steps minus the smallest one, and that one."""
    kind = np.full(len(values), _RAW, np.uint8)
    constant = (bits == bits[:, :1]).all(1)
    kind[constant] = _CONSTANT
    varied = np.flatnonzero(~constant)
    part = values[varied]
    with np.errstate(invalid="ignore"):
        whole = ((np.rint(part) == part) & (np.abs(part) < _EXACT)).all(1)
        # -0.0 is a different bit pattern than 0: keep such rows raw.
        whole &= ~((part == 0) & np.signbit(part)).any(1)
    integer = varied[whole]
    steps = np.diff(values[integer].astype(np.int64), axis=1)
    if not steps.size:
        return kind, steps, np.zeros(len(integer), np.int64)
    lowest = steps.min(1)
    steps -= lowest[:, None]
    kind[integer] = np.searchsorted(np.array([1 << 8, 1 << 16, 1 << 32]), steps.max(1), side="right") + _INT1
    return kind, steps, lowest


def decode(data: bytes, wanted: Int64) -> Float64:
    """Rows `wanted` [k] of an encoded chunk -> values [k, m]."""
    rows, columns, has_holes, _, n1, n2, n4, n8, raw, _ = _HEAD.unpack_from(data)
    first_at = _HEAD.size
    lowest_at = first_at + 8 * rows
    raw_at = lowest_at + 8 * (n1 + n2 + n4 + n8)
    steps_at = {_INT8: raw_at + 8 * raw * columns}
    steps_at[_INT4] = steps_at[_INT8] + 8 * n8 * (columns - 1)
    steps_at[_INT2] = steps_at[_INT4] + 4 * n4 * (columns - 1)
    position_at = steps_at[_INT2] + 2 * n2 * (columns - 1)
    steps_at[_INT1] = position_at + 2 * rows
    kind_at = steps_at[_INT1] + n1 * (columns - 1)
    counts = {_INT1: n1, _INT2: n2, _INT4: n4, _INT8: n8}

    kind = np.frombuffer(data, np.uint8, rows, kind_at)[wanted]
    position = np.frombuffer(data, np.uint16, rows, position_at)[wanted]
    first = np.frombuffer(data, np.float64, rows, first_at)[wanted]
    out = np.empty((len(wanted), columns))
    out[:] = first[:, None]
    for code in set(kind.tolist()) - {_CONSTANT}:
        members = np.flatnonzero(kind == code)
        place = position[members]
        if code == _RAW:
            out[members] = np.frombuffer(data, np.float64, raw * columns, raw_at).reshape(raw, columns)[place]
            continue
        before = sum(counts[smaller] for smaller in range(_INT1, code))
        steps = np.frombuffer(data, _WIDTHS[code - 1], counts[code] * (columns - 1), steps_at[code])
        path = np.empty((len(members), columns), np.int64)
        path[:, 0] = first[members]
        path[:, 1:] = steps.reshape(counts[code], columns - 1)[place]
        path[:, 1:] += np.frombuffer(data, np.int64, counts[code], lowest_at + 8 * before)[place][:, None]
        out[members] = np.cumsum(path, axis=1, out=path)
    if has_holes:
        packed = (columns + 7) // 8
        mask = np.frombuffer(data, np.uint8, rows * packed, kind_at + rows).reshape(rows, packed)[wanted]
        present: Bool = np.unpackbits(mask, axis=1, count=columns).view(np.bool_)
        out.view(np.uint64)[~present] = np.uint64(ABSENT_BITS)
    return out
