"""Which series of the head have samples in a span, without looking at a sample that a chunk's list of series answers for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tocsin.model.series import Bool, Int64, is_absent
from tocsin.tsdb.chunkfile import GridChunk, LooseChunk, rows_of
from tocsin.tsdb.grid import BLOCK_ROWS, Grid, Window
from tocsin.tsdb.loose import LooseHead
from tocsin.tsdb.tombstones import Tombstones, not_deleted

_AT_ONCE = 8192
"""Open windows are looked at in pieces of so many series: their cells are copied."""


class Presence:
    """Series ids [k] that are asked for, and which of them were found. Call with the head's lock held."""

    def __init__(self, ids: Int64, start_ms: int, end_ms: int, tombstones: Tombstones) -> None:
        self._ids = ids
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._tombstones = tombstones
        self.found: Bool = np.zeros(len(ids), np.bool_)

    def _missing(self, among: Int64) -> Int64:
        return among[~self.found[among]]

    def _inside(self, chunk: GridChunk | LooseChunk) -> bool:
        return chunk.start_ms <= self._end_ms and chunk.end_ms >= self._start_ms

    def _left(self, chunk: GridChunk | LooseChunk, places: Int64) -> Int64:
        """Places whose samples in the chunk are not deleted as a whole."""
        tombstones = self._tombstones.of_file(chunk.file)
        if not tombstones:
            return places
        span = max(self._start_ms, chunk.start_ms), min(self._end_ms, chunk.end_ms)
        ids = self._ids[places]
        return places[np.isin(ids, not_deleted(ids, *span, tombstones))]

    def in_chunks(
        self, chunks: Mapping[tuple[int, int], Sequence[GridChunk]], interval_ms: int, mine: Int64, rows: Int64
    ) -> None:
        """Sealed windows of a grid: `rows` are those of the places `mine`."""
        if not len(mine):
            return
        order = np.argsort(rows // BLOCK_ROWS, kind="stable")
        blocks = rows[order] // BLOCK_ROWS
        starts = np.flatnonzero(np.concatenate([[True], blocks[1:] != blocks[:-1]]))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
            part = order[start:end]
            for chunk in chunks.get((interval_ms, int(blocks[start])), ()):
                if self._inside(chunk):
                    held = part[rows_of(chunk, rows[part] % BLOCK_ROWS, self._ids[mine[part]])]
                    self.found[self._left(chunk, mine[held])] = True
                    part = part[~self.found[mine[part]]]
                    if not len(part):
                        break

    def in_windows(self, grid: Grid, mine: Int64, rows: Int64) -> None:
        """Open windows of a grid."""
        open_ = ~self.found[mine]
        mine, rows = mine[open_], rows[open_]
        for start in range(0, len(mine), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            for piece in grid.read(rows[some], self._ids[mine[some]], self._start_ms, self._end_ms):
                there = piece.ids[~is_absent(piece.values).all(1)]
                self.found[mine[some][np.isin(self._ids[mine[some]], there)]] = True

    def elsewhere(
        self, strays: Mapping[int, Sequence[tuple[GridChunk, int]]], loose_chunks: Iterable[LooseChunk], kept: Iterable[Window],
        loose: LooseHead,
    ) -> None:  # fmt: skip
        """Sealed windows of former rows, loose samples, windows that could not be written."""
        rest = self._missing(np.arange(len(self._ids)))
        if strays:
            for place in rest.tolist():
                for stray, _ in strays.get(int(self._ids[place]), ()):
                    if self._inside(stray):
                        self.found[self._left(stray, np.array([place]))] = True
        for chunk in loose_chunks:
            rest = self._missing(rest)
            if len(rest) and self._inside(chunk):
                self.found[self._left(chunk, rest[np.isin(self._ids[rest], chunk.ids)])] = True
        for window in kept:
            rest = self._missing(rest)
            self.found[rest[np.isin(self._ids[rest], window.ids)]] = True
        rest = self._missing(rest)
        if len(rest):
            there = loose.read(np.sort(self._ids[rest]), self._start_ms, self._end_ms).ids
            self.found[rest[np.isin(self._ids[rest], np.unique(there))]] = True
