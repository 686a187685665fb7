"""Deleted samples: remembered here at once, left out by every reader, and gone for good when what holds them is written anew.

    delete ──▶ tombstone: series ids, span; which blocks and head files it is for ──▶ compaction, clean ──▶ forgotten

A tombstone speaks of what was there when it was made: blocks of a lower sequence and head files of a lower number. What is
written later for the same span, a backfill for example, is not touched. Drawn in docs/formats/tombstones.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from tocsin.model.series import ABSENT_BITS, Bool, Int64
from tocsin.tsdb import sections
from tocsin.tsdb.block import Block
from tocsin.tsdb.disk import Disk
from tocsin.tsdb.piece import GridPiece, Loose, Part

FILE = "tombstones"
_SECTION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Tombstone:
    """Samples of series `ids` (sorted int64) within [start, end] are deleted in blocks before `sequence` and head files
    before `file`."""

    start_ms: int
    end_ms: int
    sequence: int
    file: int
    ids: Int64

    def of_block(self, block: Block) -> bool:
        return block.name.sequence < self.sequence and self.overlaps(block.name.start_ms, block.name.end_ms - 1)

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        return self.start_ms <= end_ms and self.end_ms >= start_ms

    def covers(self, start_ms: int, end_ms: int) -> bool:
        return self.start_ms <= start_ms and self.end_ms >= end_ms

    def holds(self, ids: Int64) -> Bool:
        """Which of `ids` it is for."""
        return np.asarray(np.isin(ids, self.ids))

    def widened(self, resolution_ms: int) -> Tombstone:
        """For rollups: a point is stamped at the end of its span, and goes when any of that is deleted."""
        return Tombstone(self.start_ms, self.end_ms + resolution_ms - 1, self.sequence, self.file, self.ids)

    def pack(self) -> bytes:
        facts = {"start_ms": self.start_ms, "end_ms": self.end_ms, "sequence": self.sequence, "file": self.file}
        head = orjson.dumps(facts)
        return len(head).to_bytes(4, "little") + head + self.ids.tobytes()

    @classmethod
    def unpack(cls, data: bytes) -> Tombstone:
        size = int.from_bytes(data[:4], "little")
        return cls(**orjson.loads(data[4 : 4 + size]), ids=np.frombuffer(data, np.int64, offset=4 + size))


class Tombstones:
    """Those of a store. Readers take `listed`; changes replace it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.listed: tuple[Tombstone, ...] = ()

    def refresh(self) -> None:
        """Look at the file again."""
        try:
            data = (self._folder / FILE).read_bytes()
        except FileNotFoundError:
            self.listed = ()
            return
        found = sections.unpack(data, part="tombstones", where=FILE)
        self.listed = tuple(Tombstone.unpack(bytes(payload)) for _, payload in found)

    def write(self, listed: Sequence[Tombstone], disk: Disk) -> None:
        """Put these in place of the former ones. Raises OSError; then nothing has changed."""
        disk.replace(self._folder / FILE, b"".join(sections.pack(_SECTION, one.pack()) for one in listed))
        self.listed = tuple(listed)

    def of_block(self, block: Block, *, resolution_ms: int = 1) -> list[Tombstone]:
        return [wide for one in self.listed if (wide := one.widened(resolution_ms)).of_block(block)]

    def of_file(self, number: int) -> list[Tombstone]:
        """Those for a head chunk file."""
        return [one for one in self.listed if number < one.file]


def without(pieces: Iterable[GridPiece], tombstones: Sequence[Tombstone]) -> list[GridPiece]:
    """The pieces with deleted cells emptied."""
    return [_emptied(piece, tombstones) for piece in pieces] if tombstones else list(pieces)


def _emptied(piece: GridPiece, tombstones: Sequence[Tombstone]) -> GridPiece:
    values, columns = piece.values, piece.values.shape[1]
    for one in tombstones:
        low = max(-((piece.offset_ms - one.start_ms) // piece.interval_ms) - piece.first, 0)
        high = min((one.end_ms - piece.offset_ms) // piece.interval_ms - piece.first + 1, columns)
        rows = np.flatnonzero(one.holds(piece.ids)) if low < high else ()
        if len(rows):
            if values is piece.values:
                values = values.copy()
            values.view(np.uint64)[rows, low:high] = np.uint64(ABSENT_BITS)
    if values is piece.values:
        return piece
    return GridPiece(piece.interval_ms, piece.offset_ms, piece.first, piece.ids, values)


def without_loose(parts: Iterable[Loose], tombstones: Sequence[Tombstone]) -> list[Loose]:
    """The samples that are not deleted."""
    return [_kept(part, tombstones) for part in parts] if tombstones else list(parts)


def without_parts(parts: Iterable[Part], tombstones: Sequence[Tombstone]) -> list[Part]:
    """Both of them."""
    if not tombstones:
        return list(parts)
    return [_emptied(part, tombstones) if isinstance(part, GridPiece) else _kept(part, tombstones) for part in parts]


def _kept(part: Loose, tombstones: Sequence[Tombstone]) -> Loose:
    gone = np.zeros(len(part.ids), np.bool_)
    for one in tombstones:
        gone |= (part.t_ms >= one.start_ms) & (part.t_ms <= one.end_ms) & one.holds(part.ids)
    return Loose(part.ids[~gone], part.t_ms[~gone], part.values[~gone]) if gone.any() else part


def not_deleted(ids: Int64, start_ms: int, end_ms: int, tombstones: Sequence[Tombstone]) -> Int64:
    """Ids of which something within [start, end] may be left."""
    for one in tombstones:
        if one.covers(start_ms, end_ms):
            ids = ids[~one.holds(ids)]
    return ids
