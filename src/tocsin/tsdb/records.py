"""What stands in WAL records. Little-endian; drawn in docs/formats/wal.md."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from tocsin.model.labels import Labels
from tocsin.model.series import Float64, Int64


class Kind(enum.IntEnum):
    SERIES = 1
    """New series: references and labels, complete in themselves."""
    LAYOUT = 2
    """The references of a scrape target, so that its scrapes need not repeat them."""
    SCRAPE = 3
    """Values of a layout at one instant."""
    SAMPLES = 4
    """Pushed samples: reference, time, value of each."""
    METADATA = 5
    SEALED = 6
    """A window went to a head chunk file."""
    GONE = 7
    """Series left the head."""
    LOOSE_FROZEN = 8
    """The loose samples so far form batch n."""
    LOOSE_SEALED = 9
    """Batch n and those before it are in head chunk files."""
    PLACED = 10
    """Series got rows of a grid."""
    CUT = 11
    """Parts of the head are in blocks now; look at the blocks again."""
    EXEMPLARS = 12
    """Exemplars that were kept, with the capacity of their store (`exemplars.pack`)."""


@dataclass(frozen=True, slots=True)
class Scrape:
    layout: int
    t_ms: int
    grid_ms: int
    values: Float64


@dataclass(frozen=True, slots=True)
class Sealed:
    """Window [first, first + columns) of a block, and where its chunk lies."""

    file: int
    position: int
    interval_ms: int
    block: int
    first: int
    columns: int


_SERIES = struct.Struct("<III")
_LAYOUT = struct.Struct("<II")
_SCRAPE = struct.Struct("<IIqI4x")
_SEALED = struct.Struct("<IIqqqqI4x")


def pack_series(refs: Sequence[int], labels: Sequence[Labels]) -> bytes:
    """count, texts, pairs | refs i64 | labels per series u16 | text numbers u32 (name, value, ...) | texts as JSON.

    Read by `newseries.unpack_series`.
    """
    texts: dict[str, int] = {}
    counts, numbers = [], []
    for one in labels:
        counts.append(len(one.pairs))
        for name, value in one.pairs:
            numbers.append(texts.setdefault(name, len(texts)))
            numbers.append(texts.setdefault(value, len(texts)))
    return b"".join(
        (
            _SERIES.pack(len(refs), len(texts), len(numbers)),
            np.array(refs, np.int64).tobytes(),
            np.array(counts, np.uint16).tobytes(),
            np.array(numbers, np.uint32).tobytes(),
            orjson.dumps(list(texts)),
        )
    )


def pack_layout(layout: int, refs: Int64) -> bytes:
    return _LAYOUT.pack(layout, len(refs)) + refs.tobytes()


def unpack_layout(data: bytes) -> tuple[int, Int64]:
    layout, count = _LAYOUT.unpack_from(data)
    return layout, np.frombuffer(data, np.int64, count, _LAYOUT.size)


def pack_scrape(layout: int, t_ms: int, grid_ms: int, values: Float64) -> bytes:
    return _SCRAPE.pack(layout, len(values), t_ms, grid_ms) + values.tobytes()


def unpack_scrape(data: bytes) -> Scrape:
    layout, count, t_ms, grid_ms = _SCRAPE.unpack_from(data)
    return Scrape(layout, t_ms, grid_ms, np.frombuffer(data, np.float64, count, _SCRAPE.size))


def pack_samples(refs: Int64, t_ms: Int64, values: Float64) -> bytes:
    return b"".join((refs.tobytes(), t_ms.tobytes(), values.tobytes()))


def unpack_samples(data: bytes) -> tuple[Int64, Int64, Float64]:
    count = len(data) // 24
    return (
        np.frombuffer(data, np.int64, count),
        np.frombuffer(data, np.int64, count, 8 * count),
        np.frombuffer(data, np.float64, count, 16 * count),
    )


def pack_metadata(metric: str, kind: str, help_text: str, unit: str) -> bytes:
    return orjson.dumps([metric, kind, help_text, unit])


def unpack_metadata(data: bytes) -> tuple[str, str, str, str]:
    metric, kind, help_text, unit = orjson.loads(data)
    return metric, kind, help_text, unit


def pack_sealed(sealed: Sealed) -> bytes:
    return _SEALED.pack(sealed.file, sealed.block, sealed.position, sealed.interval_ms, sealed.first, sealed.columns, 0)


def unpack_sealed(data: bytes) -> Sealed:
    file, block, position, interval_ms, first, columns, _ = _SEALED.unpack(data)
    return Sealed(file, position, interval_ms, block, first, columns)


_PLACED = struct.Struct("<qqI4x")


@dataclass(frozen=True, slots=True)
class Placed:
    """Series and their rows in the grid of an interval, on the phase of an offset."""

    interval_ms: int
    offset_ms: int
    refs: Int64
    rows: Int64


def pack_placed(placed: Placed) -> bytes:
    head = _PLACED.pack(placed.interval_ms, placed.offset_ms, len(placed.refs))
    return head + placed.refs.tobytes() + placed.rows.astype(np.uint32).tobytes()


def unpack_placed(data: bytes) -> Placed:
    interval_ms, offset_ms, count = _PLACED.unpack_from(data)
    refs = np.frombuffer(data, np.int64, count, _PLACED.size)
    rows = np.frombuffer(data, np.uint32, count, _PLACED.size + 8 * count).astype(np.int64)
    return Placed(interval_ms, offset_ms, refs, rows)


def pack_number(number: int) -> bytes:
    return struct.pack("<q", number)


def unpack_number(data: bytes) -> int:
    return int(struct.unpack("<q", data)[0])


def pack_loose_sealed(batch: int, entries: Sequence[tuple[int, int]]) -> bytes:
    """batch i64 | (file i64, position i64) of each chunk that holds it."""
    return struct.pack("<q", batch) + np.array(entries, np.int64).tobytes()


def unpack_loose_sealed(data: bytes) -> tuple[int, list[tuple[int, int]]]:
    numbers = np.frombuffer(data, np.int64).tolist()
    return numbers[0], list(zip(numbers[1::2], numbers[2::2], strict=True))


def pack_refs(refs: Int64) -> bytes:
    return refs.tobytes()


def unpack_refs(data: bytes) -> Int64:
    return np.frombuffer(data, np.int64)
