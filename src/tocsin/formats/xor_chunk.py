"""Prometheus's XOR chunks: up to 65,535 samples of one series as a bit stream. Whole sets of chunks at once, in numpy.

    samples u16 (big-endian) | t0 varint | v0 f64 (big-endian) | t1 - t0 uvarint | then bits: v1, and for each further sample

    time    0                               same distance as before
            10 / 110 / 1110 + 14/17/20 bits change of the distance
            1111 + 64 bits                  the same
    value   0                               as before
            10 + bits                       bits of the XOR, window as before
            11 + 5 + 6 + bits               leading zeros, length (0 = 64), bits

Source: Prometheus `tsdb/chunkenc/xor.go`, `tsdb/docs/format/chunks.md`. The encoder decides once per chunk whether its values
share one window, which is where numpy can; readers do not mind.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tocsin.formats.protobuf_write import to_varint
from tocsin.model.series import Bool, Float64, Int64

UInt64 = npt.NDArray[np.uint64]
SAMPLES_PER_CHUNK = 120
"""As Prometheus cuts them."""
_ONE = np.uint64(1)
_PAD = 32
_ONCE = 4096
"""Chunks decoded together."""
_WORST = (14, 17, 20)


def encode(t_ms: Int64, values: Float64, starts: Int64) -> list[bytes]:
    """Chunk i holds samples starts[i] .. starts[i + 1] (the last: to the end), at least one, times ascending."""
    if not len(starts):
        return []
    ends = np.append(starts[1:], len(t_ms))
    chunk = np.repeat(np.arange(len(starts)), ends - starts)
    place = np.arange(len(t_ms)) - starts[chunk]
    bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
    fields, lengths = _fields(t_ms, bits, chunk, place, starts)
    streams = _pack(fields, lengths, starts)
    out = []
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        head = (end - start).to_bytes(2, "big") + _zigzag(int(t_ms[start])) + int(bits[start]).to_bytes(8, "big")
        if end - start > 1:
            head += to_varint(int(t_ms[start + 1] - t_ms[start]))
        out.append(head + streams[number])
    return out


def _fields(
    t_ms: Int64, bits: UInt64, chunk: Int64, place: Int64, starts: Int64
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """What is written per sample: numbers and lengths in bits, [n, 4] each: time, time's 64 bits, control of the value, value."""
    count = len(t_ms)
    fields, lengths = np.zeros((count, 4), np.uint64), np.zeros((count, 4), np.int64)
    delta = np.diff(t_ms, prepend=0)
    change = np.diff(delta, prepend=0)
    third = place >= 2
    size = np.select([change == 0, *(_fits(change, width) for width in _WORST)], [1, 16, 20, 24], 4)
    prefix = np.select([size == 1, size == 16, size == 20, size == 24], [0, 0b10 << 14, 0b110 << 17, 0b1110 << 20], 0b1111)
    low = np.select([size == 16, size == 20, size == 24], [change & 0x3FFF, change & 0x1FFFF, change & 0xFFFFF], 0)
    fields[:, 0] = (prefix | low).astype(np.uint64)
    lengths[:, 0] = np.where(third, size, 0)
    fields[:, 1] = change.view(np.uint64)
    lengths[:, 1] = np.where(third & (size == 4), 64, 0)
    _value_fields(bits, chunk, place, starts, fields, lengths)
    return fields, lengths


def _fits(change: Int64, width: int) -> Bool:
    half = 1 << (width - 1)
    return (change >= 1 - half) & (change <= half)


def _value_fields(bits: UInt64, chunk: Int64, place: Int64, starts: Int64, fields: UInt64, lengths: Int64) -> None:
    xor = np.zeros_like(bits)
    xor[1:] = bits[1:] ^ bits[:-1]
    xor[place == 0] = 0
    changed = xor != 0
    leading, trailing = np.minimum(_leading(xor), 31), _trailing(xor)
    shared_leading = np.minimum.reduceat(np.where(changed, leading, 31), starts)
    shared_trailing = np.minimum.reduceat(np.where(changed, trailing, 63), starts)
    width = 64 - shared_leading - shared_trailing
    changes = np.add.reduceat(changed.astype(np.int64), starts)
    alone = np.add.reduceat(np.where(changed, 13 + 64 - leading - trailing, 0), starts)
    sharing = (11 + changes * (2 + width) <= alone)[chunk]
    running = np.cumsum(changed)
    before = running[starts] - changed[starts]
    opens = changed & (~sharing | (running - before[chunk] == 1))
    lead = np.where(sharing, shared_leading[chunk], leading)
    tail = np.where(sharing, shared_trailing[chunk], trailing)
    sig = 64 - lead - tail
    fields[:, 2] = np.where(opens, (0b11 << 11) | (lead << 6) | (sig & 63), np.where(changed, 0b10, 0)).astype(np.uint64)
    lengths[:, 2] = np.where(place == 0, 0, np.where(opens, 13, np.where(changed, 2, 1)))
    fields[:, 3] = xor >> np.where(changed, tail, 0).astype(np.uint64)
    lengths[:, 3] = np.where(changed, sig, 0)


def _leading(numbers: UInt64) -> Int64:
    filled = numbers.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        filled |= filled >> np.uint64(shift)
    return 64 - np.bitwise_count(filled).astype(np.int64)


def _trailing(numbers: UInt64) -> Int64:
    lowest = numbers & (~numbers + _ONE)
    return np.bitwise_count(lowest - _ONE).astype(np.int64)


def _pack(fields: UInt64, lengths: Int64, starts: Int64) -> list[bytes]:
    """The bits of each chunk, one after the other, filled up to whole bytes."""
    total = lengths.sum(1)
    bits = np.add.reduceat(total, starts)
    words = (bits + 63) // 64
    first_word = np.cumsum(words) - words
    running = np.cumsum(total) - total
    counts = np.diff(np.append(starts, len(total)))
    base = np.repeat(first_word * 64 - running[starts], counts)
    at = (base + running)[:, None] + np.cumsum(lengths, 1) - lengths
    used = lengths > 0
    number, size, offset = fields[used], lengths[used], at[used]
    out = np.zeros(int(words.sum()) + 1, np.uint64)
    left = 64 - (offset & 63) - size
    whole = left >= 0
    np.bitwise_or.at(out, offset[whole] >> 6, number[whole] << left[whole].astype(np.uint64))
    split, over = ~whole, -left[~whole]
    np.bitwise_or.at(out, offset[split] >> 6, number[split] >> over.astype(np.uint64))
    np.bitwise_or.at(out, (offset[split] >> 6) + 1, number[split] << (64 - over).astype(np.uint64))
    data = out.astype(">u8").tobytes()
    pairs = zip((first_word * 8).tolist(), ((bits + 7) // 8).tolist(), strict=True)
    return [data[start : start + size] for start, size in pairs]


def _zigzag(value: int) -> bytes:
    return to_varint(value << 1 if value >= 0 else (-value << 1) - 1)


# -- reading -----------------------------------------------------------------------------------------------------------


def decode(chunks: Sequence[bytes]) -> list[tuple[Int64, Float64] | None]:
    """Times and values of each chunk; None for one that is not an intact XOR chunk."""
    out: list[tuple[Int64, Float64] | None] = []
    for start in range(0, len(chunks), _ONCE):
        out += _decode(chunks[start : start + _ONCE])
    return out


def _decode(chunks: Sequence[bytes]) -> list[tuple[Int64, Float64] | None]:
    found = [(number, head) for number, chunk in enumerate(chunks) if (head := _head(chunk)) is not None]
    # With the longest first, those that still go on are always the first ones.
    found.sort(key=lambda one: -one[1][0])
    out: list[tuple[Int64, Float64] | None] = [None] * len(chunks)
    if not found:
        return out
    rows = _Rows([chunks[number] for number, _ in found], [head for _, head in found])
    rows.run()
    for row, (number, _) in enumerate(found):
        count = int(rows.counts[row])
        if rows.at[row] <= rows.end[row]:
            out[number] = (rows.t_ms[row, :count].copy(), rows.bits[row, :count].view(np.float64).copy())
    return out


_Head = tuple[int, int, int, int, int]


def _head(chunk: bytes) -> _Head | None:
    """Samples, t0, bits of v0, first distance, and the byte after them."""
    count = int.from_bytes(chunk[:2], "big")
    first = _varint(chunk, 2)
    if not count or first is None or first[1] + 8 > len(chunk):
        return None
    t_ms, at = (first[0] >> 1) ^ -(first[0] & 1), first[1] + 8
    value = int.from_bytes(chunk[at - 8 : at], "big")
    if count == 1:
        return count, t_ms, value, 0, at
    second = _varint(chunk, at)
    if second is None or not -(1 << 63) <= t_ms + second[0] < 1 << 63 or count > 8 * (len(chunk) - second[1]) + 2:
        return None
    return count, t_ms, value, second[0], second[1]


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    value = 0
    for place in range(at, min(at + 10, len(data))):
        value |= (data[place] & 0x7F) << 7 * (place - at)
        if data[place] < 0x80:
            return (value, place + 1) if value < 1 << 64 else None
    return None


class _Rows:
    """Chunks read in step: row i is chunk i; `at` and `end` are places in bits, beyond `end` = damaged."""

    def __init__(self, chunks: Sequence[bytes], heads: Sequence[_Head]) -> None:
        streams = [chunk[head[4] :] + bytes(_PAD) for chunk, head in zip(chunks, heads, strict=True)]
        sizes = np.array([len(stream) for stream in streams])
        self._bytes = np.frombuffer(b"".join(streams), np.uint8)
        self._windows = np.lib.stride_tricks.sliding_window_view(self._bytes, 8)
        self.counts = np.array([head[0] for head in heads])
        self.at: Int64 = (np.cumsum(sizes) - sizes) * 8
        self.end = self.at + (sizes - _PAD) * 8
        longest = int(self.counts[0])
        self.t_ms = np.zeros((len(heads), longest), np.int64)
        self.bits = np.zeros((len(heads), longest), np.uint64)
        self.t_ms[:, 0] = [head[1] for head in heads]
        self.bits[:, 0] = np.array([head[2] for head in heads], np.uint64)
        self._delta = np.array([head[3] for head in heads], np.uint64).view(np.int64)
        self._lead = np.zeros(len(heads), np.int64)
        self._tail = np.zeros(len(heads), np.int64)

    def run(self) -> None:
        for step in range(1, int(self.counts[0])):
            live = slice(0, int(np.searchsorted(-self.counts, -step, "left")))
            if step > 1:
                self._time(live)
            self.t_ms[live, step] = self.t_ms[live, step - 1] + self._delta[live]
            self.bits[live, step] = self.bits[live, step - 1] ^ self._value(live)

    def _peek(self, at: Int64, end: Int64) -> UInt64:
        """The 64 bits from `at` on; zeros beyond the end."""
        at = np.minimum(at, end)
        place, rest = at >> 3, (at & 7).astype(np.uint64)
        high = self._windows[place].view(">u8")[:, 0].astype(np.uint64)
        low = self._bytes[place + 8].astype(np.uint64)
        return np.asarray(high << rest | low >> (np.uint64(8) - rest))

    def _time(self, live: slice) -> None:
        at, end = self.at[live], self.end[live]
        seen = self._peek(at, end)
        ones = np.minimum(_leading(~seen), 4)
        change = np.zeros(len(at), np.int64)
        for count, width in enumerate(_WORST, 1):
            mine = ones == count
            raw = (seen[mine] >> np.uint64(64 - count - 1 - width)).astype(np.int64) & ((1 << width) - 1)
            change[mine] = np.where(raw > 1 << (width - 1), raw - (1 << width), raw)
        far = np.flatnonzero(ones == 4)
        if len(far):
            change[far] = self._peek(at[far] + 4, end[far]).view(np.int64)
        self._delta[live] += change
        self.at[live] = at + np.array([1, 16, 20, 24, 68])[ones]

    def _value(self, live: slice) -> UInt64:
        at, end = self.at[live], self.end[live]
        seen = self._peek(at, end)
        changed = seen >> np.uint64(63) != 0
        opens = seen >> np.uint64(62) == 3
        lead, tail = self._lead[live], self._tail[live]
        size = (seen >> np.uint64(51)).astype(np.int64) & 63
        size = np.where(size == 0, 64, size)
        fresh = (seen >> np.uint64(57)).astype(np.int64) & 31
        lead[opens], tail[opens] = fresh[opens], (64 - fresh - size)[opens]
        start = at + np.where(opens, 13, 2)
        sig = 64 - lead - tail
        wrong = changed & (tail < 0)
        tail[wrong] = 0
        raw = self._peek(start, end) >> np.clip(64 - sig, 0, 63).astype(np.uint64)
        self.at[live] = np.where(wrong, end + 1, np.where(changed, start + sig, at + 1))
        return np.asarray(np.where(changed, raw << tail.astype(np.uint64), np.uint64(0)))
