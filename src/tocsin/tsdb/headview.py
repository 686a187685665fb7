"""What the head has for a query, captured under its lock and read outside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Int64
from tocsin.tsdb.chunkfile import ChunkFiles, GridChunk, LooseChunk
from tocsin.tsdb.grid import Window
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.run import Run
from tocsin.tsdb.tombstones import Tombstones, without, without_parts


@dataclass(frozen=True, slots=True)
class HeadView:
    """What the head has for some matchers, as of one moment: ids [k] with labels, open samples, and closed windows in
    memory; `chunks`, `loose_chunks` and `runs` are still to be read (outside the lock)."""

    ids: Int64
    wanted: Int64
    """The ids, ascending."""
    labels: tuple[Labels, ...]
    pieces: list[GridPiece]
    loose: Loose
    runs: list[Run]
    chunks: list[tuple[GridChunk, Int64]]
    loose_chunks: list[LooseChunk]
    regular_from_ms: int
    """A chunk may begin before this; what it holds there is in a block, where loose samples have been laid over it."""


def read_view(
    view: HeadView, files: ChunkFiles, start_ms: int, end_ms: int, tombstones: Tombstones
) -> tuple[list[GridPiece], list[Part]]:
    """Read the chunks of a view: pieces and loose samples within [start, end] that are not deleted, in order of precedence."""
    pieces: list[GridPiece] = []
    for chunk, rows in view.chunks:
        low = -((chunk.offset_ms - max(start_ms, view.regular_from_ms)) // chunk.interval_ms)
        high = (end_ms - chunk.offset_ms) // chunk.interval_ms
        piece = files.read_grid(chunk, rows, low=low, high=high)
        if piece is not None:
            pieces += without([piece], tombstones.of_file(chunk.file))
    loose: list[Part] = []
    wanted = view.wanted
    if len(wanted):
        low, high = int(wanted[0]), int(wanted[-1])
        for entry in [one for one in view.loose_chunks if one.lowest <= high and one.highest >= low]:
            loose += without_parts(files.read_loose(entry, wanted, start_ms, end_ms), tombstones.of_file(entry.file))
        for run in view.runs:
            loose += run.split.read(wanted, start_ms, end_ms)
    return pieces + view.pieces, [*loose, view.loose]


def window_pieces(window: Window, ids: Int64, start_ms: int, end_ms: int) -> Iterable[GridPiece]:
    low = max(-((window.offset_ms - start_ms) // window.interval_ms), window.first)
    high = min((end_ms - window.offset_ms) // window.interval_ms, window.first + window.values.shape[1] - 1)
    rows = np.flatnonzero(np.isin(window.ids, ids))
    if high >= low and len(rows):
        values = window.values[rows, low - window.first : high + 1 - window.first]
        yield GridPiece(window.interval_ms, window.offset_ms, low, window.ids[rows].astype(np.int64), values)
