"""Rollups: what remains of a day when its raw samples are gone.

For every series min, max, sum, count and last of each 5 minutes and each hour. The point of [T, T + resolution) is
stamped one millisecond before its end: so it lies inside its day, and never on a raw sample's scrape. Each resolution and
aggregate is a folder of ordinary blocks: `rollups/300000-max/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tocsin.model.series import ABSENT_BITS, Bool, Float64, Int64, is_absent, is_stale
from tocsin.tsdb import catalogue
from tocsin.tsdb.assemble import assemble
from tocsin.tsdb.block import Block, BlockName
from tocsin.tsdb.build import ReadBatch, Source, build
from tocsin.tsdb.compact import DAY_MS, read_blocks
from tocsin.tsdb.piece import GridPiece, Part
from tocsin.tsdb.rollups import AGGREGATES, COARSE_MS, FINE_MS
from tocsin.tsdb.upkeep import Job
from tocsin.tsdb.workshop import Shelf, Work

if TYPE_CHECKING:
    from tocsin.tsdb.db import Store


def due(store: Store) -> Block | None:
    """The only raw block of a finished day, when it has no rollups yet."""
    done = {block.name.sequence for block in store.rollups.sets[COARSE_MS, "last"].blocks}
    for block in store.blocks.blocks:
        if block.name not in store.merged and block.name.sequence not in done and _alone(store, block):
            return block
    return None


def _alone(store: Store, block: Block) -> bool:
    day = block.name.start_ms // DAY_MS
    finished = (day + 1) * DAY_MS + store.settings.merge_delay_ms <= store.now_ms()
    others = [one for one in store.blocks.blocks if one.name.start_ms // DAY_MS == day and one.name not in store.merged]
    return finished and others == [block]


def roll_up(store: Store, raw: Block) -> Job:
    """Write the rollups of one raw block: the fine ones from the samples, the coarse ones from the fine ones."""

    yield Work(partial(write_rollups, raw.name), store.shelf())
    store.rollups.refresh()
    for blocks in store.rollups.sets.values():
        older = [
            block
            for block in blocks.blocks
            if block.name.sequence < raw.name.sequence
            and block.name.start_ms >= raw.name.start_ms
            and block.name.end_ms <= raw.name.end_ms + COARSE_MS
        ]
        blocks.remove(older)


def write_rollups(name: BlockName, shelf: Shelf) -> None:
    """All rollups of this raw block. Raises OSError."""
    raw = shelf.blocks.named(name)
    for aggregate in AGGREGATES:
        _write(shelf, raw, FINE_MS, aggregate, aggregate)
        blocks = shelf.rollups.sets[FINE_MS, aggregate]
        blocks.refresh()
        fine = [block for block in blocks.blocks if block.name.sequence == name.sequence]
        for block in fine:
            # A count of counts is their sum.
            _write(shelf, block, COARSE_MS, "sum" if aggregate == "count" else aggregate, aggregate)


def _write(shelf: Shelf, block: Block, resolution_ms: int, how: str, aggregate: str) -> None:
    blocks = shelf.rollups.sets[resolution_ms, aggregate]
    start, end = block.name.start_ms, block.name.end_ms
    # The last point may be stamped after the block's end when that is not a whole hour.
    name = BlockName(block.name.sequence, start, -(-end // resolution_ms) * resolution_ms)
    read = _reduced(read_blocks([block], start, end, shelf.tombstones), resolution_ms, how)
    source = Source(catalogue.capture(block.index).build(), read, DAY_MS // 15_000 if resolution_ms == FINE_MS else 300)
    build(blocks.folder, name, source, shelf.disk, {"resolution_ms": resolution_ms, "aggregate": aggregate})


def _reduced(read: ReadBatch, resolution_ms: int, how: str) -> ReadBatch:
    """A reader of rolled-up pieces."""

    def reduced(ids: Int64) -> tuple[list[GridPiece], list[Part]]:
        pieces, loose = read(ids)
        selection = assemble(pieces, loose, lambda wanted: (wanted.tolist(), True))
        out = []
        for group in selection.groups:
            number = group.t_ms // resolution_ms
            values = reduce_columns(group.values, number, how)
            owners = np.array(group.labels, np.int64)
            out.append(GridPiece(resolution_ms, resolution_ms - 1, int(number[0]), owners, values))
        return out, []

    return reduced


def reduce_columns(values: Float64, number: Int64, how: str) -> Float64:
    """values [k, m] with column numbers ascending [m] -> [k, last - first + 1], ABSENT where a number has no sample.

    Staleness markers are no samples; min and max ignore NaN unless there is nothing else, as PromQL's do.
    """
    starts = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1]]))
    there = ~(is_absent(values) | is_stale(values))
    counts = np.add.reduceat(there, starts, axis=1, dtype=np.int64)
    reduced = _AGGREGATE[how](values, there, starts)
    reduced.view(np.uint64)[counts == 0] = np.uint64(ABSENT_BITS)
    out = np.full((len(values), int(number[-1] - number[0]) + 1), ABSENT_BITS, np.uint64).view(np.float64)
    out[:, number[starts] - number[0]] = reduced
    return out


def _extreme(combine: np.ufunc, neutral: float) -> Callable[[Float64, Bool, Int64], Float64]:
    def reduce(values: Float64, there: Bool, starts: Int64) -> Float64:
        real = there & ~np.isnan(values)
        out: Float64 = combine.reduceat(np.where(real, values, neutral), starts, axis=1)
        only_nan = ~np.logical_or.reduceat(real, starts, axis=1)
        out[only_nan] = np.nan
        return out

    return reduce


def _sum(values: Float64, there: Bool, starts: Int64) -> Float64:
    return np.asarray(np.add.reduceat(np.where(there, values, 0.0), starts, axis=1))


def _count(values: Float64, there: Bool, starts: Int64) -> Float64:
    return np.add.reduceat(there, starts, axis=1, dtype=np.int64).astype(np.float64)


def _last(values: Float64, there: Bool, starts: Int64) -> Float64:
    column = np.where(there, np.arange(values.shape[1]), -1)
    newest = np.maximum.reduceat(column, starts, axis=1)
    return np.take_along_axis(values, np.maximum(newest, 0), axis=1)


_AGGREGATE: dict[str, Callable[[Float64, Bool, Int64], Float64]] = {
    "min": _extreme(np.minimum, np.inf),
    "max": _extreme(np.maximum, -np.inf),
    "sum": _sum,
    "count": _count,
    "last": _last,
}


def jobs(store: Store, now_ms: int) -> Iterator[Job]:
    """What is to do about rollups."""
    store.rollups.expire(now_ms - store.settings.retention_rollup_ms)
    block = due(store)
    if block is not None:
        yield roll_up(store, block)
