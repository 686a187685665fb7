"""From head to blocks, from blocks to larger blocks, and away.

    head ──2 h, 40 min after their end──▶ block of 2 h ──day over──▶ block of a day ──retention──▶ gone
                                                                        └──▶ rollups

Jobs for `upkeep.drive`: blocks are written by a child (`workshop`) that reads what nobody changes any more; that they are
there now, and what of the head they hold, is logged on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import orjson

from tocsin.log import get_log
from tocsin.model.series import Int64
from tocsin.tsdb import catalogue
from tocsin.tsdb.block import Block, BlockName
from tocsin.tsdb.build import ReadBatch, Source, build
from tocsin.tsdb.chunkfile import ChunkFiles, GridChunk, LooseChunk
from tocsin.tsdb.loose import Run
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.records import Kind
from tocsin.tsdb.tombstones import Tombstones, without, without_loose, without_parts
from tocsin.tsdb.upkeep import Job, breathe, seal_loose
from tocsin.tsdb.workshop import Shelf, Work

if TYPE_CHECKING:
    from tocsin.tsdb.db import Store

_log = get_log("tsdb")
DAY_MS = 86_400_000
_WINDOWS_AT_ONCE = 2
_LEAVING_AT_ONCE = 1000
"""Series that leave the head in one go: some 2 ms."""


def cut_end_ms(store: Store, now_ms: int) -> int | None:
    """The instant up to which the head can go to a block now; None when nothing is due."""
    span = store.settings.block_ms
    end = (now_ms - store.settings.cut_delay_ms) // span * span
    if end == store.cut_looked_ms:
        return None
    oldest = store.head.oldest_regular_ms()
    if store.head.has_loose_chunks_before(end) or (oldest is not None and oldest < end):
        return end
    store.cut_looked_ms = end
    return None


def cut(store: Store, end_ms: int) -> Job:
    """Move regular samples before `end_ms`, and all sealed loose samples before it, into blocks."""
    yield from _close_windows(store, end_ms)
    yield from seal_loose(store)
    head = store.head
    with head.lock:
        store.files.start_file()
        chunks = [chunk for chunks in head.chunks.values() for chunk in chunks]
        chunks += [chunk for strays in head.strays.values() for chunk, _ in strays]
        chunks = [chunk for chunk in dict.fromkeys(chunks) if chunk.start_ms < end_ms and chunk.end_ms >= head.cut_ms]
        loose = list(head.loose_chunks)
        everything = catalogue.capture(head.index)
        regular_from = int(head.cut_ms)

    given = Cut(store.next_sequence(), end_ms, store.settings.block_ms, everything, chunks, loose, regular_from)
    yield Work(partial(write_cut, given), store.shelf())

    def keep() -> list[LooseChunk]:
        left = _HeadReader(store.files, store.tombstones, [], [one for one in loose if one.end_ms >= end_ms], 0).left_over(end_ms)
        kept = store.files.add_run(left) if len(left.ids) else []
        store.files.sync()
        return kept

    kept = yield keep
    with head.lock:
        store.blocks.refresh()
        head.cut(end_ms, {(chunk.file, chunk.entry) for chunk in loose})
        head.loose_chunks.extend(kept)
        note = {
            "cut_ms": end_ms,
            "consumed": [[chunk.file, chunk.entry] for chunk in loose],
            "kept": [[chunk.file, chunk.entry] for chunk in kept],
        }
        store.log(Kind.CUT, orjson.dumps(note))
    store.later(lambda: head.drop_files(store.files))
    idle = yield head.idle
    for start in range(0, len(idle), _LEAVING_AT_ONCE):
        store.leave(idle[start : start + _LEAVING_AT_ONCE])
        yield breathe
    store.cut_looked_ms = end_ms
    _log.info("head cut", until_ms=end_ms, blocks=len(store.blocks.blocks))


@dataclass(frozen=True, slots=True)
class Cut:
    """What of the head goes to blocks."""

    sequence: int
    """Of the first block."""
    end_ms: int
    span_ms: int
    series: catalogue.Captured
    chunks: list[GridChunk]
    loose: list[LooseChunk]
    regular_from: int


def write_cut(given: Cut, shelf: Shelf) -> None:
    """The blocks of a cut. Raises OSError."""
    reader = _HeadReader(shelf.files, shelf.tombstones, given.chunks, given.loose, given.regular_from)
    everything, sequence = given.series.build(), given.sequence
    for start, end in reader.ranges(given.end_ms, given.span_ms):
        source = Source(everything, reader.within(start, end), reader.columns(end - start))
        facts = {"level": 1, "cut_ms": given.end_ms}
        if build(shelf.blocks.folder, BlockName(sequence, start, end), source, shelf.disk, facts):
            sequence += 1


def _close_windows(store: Store, end_ms: int) -> Job:
    """Seal windows that began before `end_ms`, a few at a time."""
    head = store.head
    for grid in list(head.grids.values()):
        while True:
            with head.lock:
                began = grid.low * grid.interval_ms + grid.offset
                due = np.flatnonzero((grid.last >= grid.low) & (began < end_ms))
                for block in due[:_WINDOWS_AT_ONCE].tolist():
                    head.close_window(grid, block)
            if not len(due):
                break
            yield breathe


class _HeadReader:
    """Reads sealed parts of the head by series id."""

    def __init__(
        self, files: ChunkFiles, tombstones: Tombstones, chunks: list[GridChunk], loose: list[LooseChunk], regular_from: int
    ) -> None:
        self._files = files
        self._chunks = chunks
        # A damaged chunk is left out here and reported; what it held is lost with it.
        self._tombstones = tombstones
        self._loose = [
            kept
            for chunk in loose
            if (part := files.loose_samples(chunk)) is not None
            for kept in without_loose([part], tombstones.of_file(chunk.file))
        ]
        self._regular_from = regular_from

    def ranges(self, end_ms: int, span_ms: int) -> list[tuple[int, int]]:
        """Spans that get a block: those of the regular samples, and days of older loose ones."""
        starts = {chunk.start_ms // span_ms * span_ms for chunk in self._chunks}
        first = min(starts, default=end_ms)
        spans = {(start, start + span_ms) for start in range(first, end_ms, span_ms)}
        for part in self._loose:
            recent = part.t_ms[(part.t_ms >= first) & (part.t_ms < end_ms)]
            spans.update((start, start + span_ms) for start in np.unique(recent // span_ms * span_ms).tolist())
            for day in np.unique(part.t_ms[part.t_ms < first] // DAY_MS * DAY_MS).tolist():
                spans.add((day, min(day + DAY_MS, first)))
        return sorted(spans)

    def columns(self, span_ms: int) -> int:
        return max((span_ms // chunk.interval_ms for chunk in self._chunks), default=64) + 1

    def within(self, start_ms: int, end_ms: int) -> ReadBatch:
        """A reader of [start, end)."""
        chunks = [chunk for chunk in self._chunks if chunk.start_ms < end_ms and chunk.end_ms >= start_ms]
        low_ms = max(start_ms, self._regular_from)

        def read(ids: Int64) -> tuple[list[GridPiece], list[Part]]:
            pieces = []
            for chunk in chunks:
                rows = np.flatnonzero(_member(ids, chunk.ids.astype(np.int64)))
                low = -((chunk.offset_ms - low_ms) // chunk.interval_ms)
                high = (end_ms - 1 - chunk.offset_ms) // chunk.interval_ms
                piece = self._files.read_grid(chunk, rows, low=low, high=high) if len(rows) else None
                if piece is not None:
                    pieces += without([piece], self._tombstones.of_file(chunk.file))
            loose: list[Part] = []
            for part in self._loose:
                mine = _member(ids, part.ids) & (part.t_ms >= start_ms) & (part.t_ms < end_ms)
                loose.append(Loose(part.ids[mine], part.t_ms[mine], part.values[mine]))
            return pieces, loose

        return read

    def left_over(self, end_ms: int) -> Run:
        """Loose samples that stay in the head."""
        parts = [(part, part.t_ms >= end_ms) for part in self._loose]
        columns = [
            np.concatenate([*(getattr(part, name)[mine] for part, mine in parts), np.empty(0, kind)])
            for name, kind in (("ids", np.int64), ("t_ms", np.int64), ("values", np.float64))
        ]
        return Run.of(*columns)


def _member(ordered: Int64, ids: Int64) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which of `ids` are in `ordered`."""
    at = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
    return np.equal(ordered[at], ids)


def drop(store: Store, blocks: Sequence[Block]) -> None:
    """Delete blocks, and tell followers."""
    store.blocks.remove(blocks)
    store.log(Kind.CUT, orjson.dumps({"cut_ms": int(store.head.cut_ms), "consumed": [], "kept": []}))


def due_merge(store: Store, now_ms: int) -> list[Block]:
    """Blocks of one finished day that should become one; empty when there are none."""
    days: dict[int, list[Block]] = {}
    for block in store.blocks.blocks:
        if block.name in store.merged:
            continue
        day = block.name.start_ms // DAY_MS
        if (block.name.end_ms - 1) // DAY_MS == day and (day + 1) * DAY_MS + store.settings.merge_delay_ms <= now_ms:
            days.setdefault(day, []).append(block)
    for day in sorted(days):
        if len(days[day]) > 1:
            return days[day]
    return []


def merge(store: Store, blocks: Sequence[Block]) -> Job:
    """Make one block of several."""
    start = min(block.name.start_ms for block in blocks)
    end = max(block.name.end_ms for block in blocks)
    name = BlockName(store.next_sequence(), start, end)

    yield Work(partial(write_merged, name, [block.name for block in blocks]), store.shelf())
    # The old blocks stay until followers know the new one; meanwhile both say the same.
    store.blocks.refresh()
    store.merged.update(block.name for block in blocks)
    store.later(lambda: drop(store, blocks))
    store.log(Kind.CUT, orjson.dumps({"cut_ms": int(store.head.cut_ms), "consumed": [], "kept": []}))
    _log.info("blocks merged", blocks=len(blocks), into=str(name))


def write_merged(name: BlockName, names: Sequence[BlockName], shelf: Shelf) -> None:
    """One block of these. Raises OSError."""
    blocks = [shelf.blocks.named(one) for one in names]
    listed = catalogue.merge(catalogue.capture(block.index).build() for block in blocks)
    columns = max((span_columns(block) for block in blocks), default=1)
    read = read_blocks(blocks, name.start_ms, name.end_ms, shelf.tombstones)
    source = Source(listed, read, columns * (name.end_ms - name.start_ms) // DAY_MS)
    build(shelf.blocks.folder, name, source, shelf.disk, {"level": 2})


def span_columns(block: Block) -> int:
    """Scrapes of a day at the shortest interval in the block."""
    intervals = [group.interval_ms for group in block.groups if group.interval_ms]
    return DAY_MS // min(intervals) if intervals else 1024


def read_blocks(
    blocks: Sequence[Block], start_ms: int, end_ms: int, tombstones: Tombstones, *, resolution_ms: int = 1
) -> ReadBatch:
    """A reader of series ids over blocks, in order of precedence, without what is deleted."""
    known = []
    for block in blocks:
        ids = block.index.ids.astype(np.int64)
        order = np.argsort(ids)
        known.append((block, ids[order], order))

    def read(ids: Int64) -> tuple[list[GridPiece], list[Part]]:
        pieces: list[GridPiece] = []
        loose: list[Part] = []
        for block, ordered, rows in known:
            at = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
            mine = np.sort(rows[at[ordered[at] == ids]])
            more = block.read(mine, start_ms, end_ms - 1)
            deleted = tombstones.of_block(block, resolution_ms=resolution_ms)
            pieces.extend(without(more[0], deleted))
            loose.extend(without_parts(more[1], deleted))
        return pieces, loose

    return read


def expired(store: Store, now_ms: int) -> list[Block]:
    """Blocks past the retention, and the oldest ones while the store is too large."""
    limit = now_ms - store.settings.retention_ms
    gone = [block for block in store.blocks.blocks if block.name.end_ms <= limit]
    if store.settings.max_bytes:
        kept = sorted((block for block in store.blocks.blocks if block not in gone), key=lambda one: one.name.start_ms)
        sizes = {block.name: block.size() for block in kept}
        total = sum(sizes.values()) + store.files.total_bytes() + store.wal_bytes()
        while kept and total > store.settings.max_bytes:
            oldest = kept.pop(0)
            total -= sizes[oldest.name]
            gone.append(oldest)
    return gone
