"""The open windows of scraped series: one matrix per scrape interval.

                     slot = scrape number modulo 64
    row of a series  [ v v v v . . . . ]     block 0: 512 rows, all of one phase, window [first, first + 64)
                     [ v v   v . . . . ]     (a missed scrape is a hole)
                     ...
                     [ v v v v v v v . ]     block 1: another phase, another window

Series whose scrapes share a phase share blocks, and so a time grid: sample number n of offset o lies at n * interval + o.
One scrape is one strided write. A full window is sealed block by block; the windows of blocks are staggered, so that at
most a few blocks (1 ms each) are sealed at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.model.series import ABSENT_BITS, Float64, Int64
from tocsin.tsdb.memory import GrowingMatrix
from tocsin.tsdb.piece import GridPiece
from tocsin.tsdb.table import UInt32

SLOTS = 64
_NEVER = 1 << 62
BLOCK_ROWS = 512
_BLOCK_BITS = 9
NOBODY = 0xFFFFFFFF
_LOOKBACK_MS = 300_000
_STAGGER = 37
"""Odd, so that successive blocks spread over all 64 starting points."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A closed window: ids uint32 [rows] (0 = free row), values [rows, m] starting at scrape number `first`."""

    interval_ms: int
    offset_ms: int
    block: int
    first: int
    ids: UInt32
    values: Float64


class Grid:
    """Open windows of one scrape interval. Not thread-safe; the head's lock protects it."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self._kept = min(_LOOKBACK_MS // interval_ms + 2, SLOTS // 2)
        self._matrix = GrowingMatrix(SLOTS, BLOCK_ROWS)
        self.slot_of_row: UInt32 = np.full(BLOCK_ROWS, NOBODY, np.uint32)
        self.block_count = 0
        self.offset: Int64 = np.zeros(0, np.int64)
        self.first: Int64 = np.zeros(0, np.int64)
        """Per block: number of the window's first scrape."""
        self.low: Int64 = np.zeros(0, np.int64)
        self.last: Int64 = np.zeros(0, np.int64)
        """Per block: lowest and highest number written in this window; last < low = nothing."""
        self.segment: Int64 = np.zeros(0, np.int64)
        """Per block: oldest WAL segment that may hold a sample of this window."""
        self._closed_at: Int64 = np.zeros(0, np.int64)
        self._closed_in: Int64 = np.zeros(0, np.int64)
        """Per block: the scrape that closed the window before this one, and the WAL segment it was written to."""
        self.used: list[int] = []
        self._free: dict[int, list[int]] = {}
        self._open: dict[int, int] = {}
        """Per offset: free rows, and the block that still has unused ones."""

    @property
    def values(self) -> Float64:
        return self._matrix.values

    # -- rows --------------------------------------------------------------------------------------------------------

    def allocate(self, slots: Int64, offset_ms: int) -> Int64:
        """A row for each slot, on the grid of this offset."""
        rows: list[int] = []
        free = self._free.get(offset_ms, [])
        while free and len(rows) < len(slots):
            rows.append(free.pop())
        while len(rows) < len(slots):
            block = self._open.get(offset_ms)
            if block is None or self.used[block] == BLOCK_ROWS:
                block = self._open[offset_ms] = self.add_block(offset_ms)
            take = min(BLOCK_ROWS - self.used[block], len(slots) - len(rows))
            start = (block << _BLOCK_BITS) + self.used[block]
            self._matrix.clear(start, start + take)
            rows.extend(range(start, start + take))
            self.used[block] += take
        out = np.array(rows, np.int64)
        self.slot_of_row[out] = slots
        return out

    def claim(self, rows: Int64, slots: Int64, offset_ms: int) -> None:
        """Give these very rows to slots (replay); rows that somebody holds change hands."""
        for block in self.blocks_of(rows).tolist():
            while self.block_count <= block:
                self.add_block(offset_ms)
            self.offset[block] = offset_ms
            mine = rows[rows >> _BLOCK_BITS == block]
            start, before = block << _BLOCK_BITS, self.used[block]
            used = max(before, int(mine.max()) + 1 - start)
            self._matrix.clear(start + before, start + used)
            self.used[block] = used
            self._open[offset_ms] = max(block, self._open.get(offset_ms, -1))
            skipped = set(range(start + before, start + used)) - set(mine.tolist())
            self._free.setdefault(offset_ms, []).extend(sorted(skipped))
        taken = set(rows.tolist())
        self._free[offset_ms] = [row for row in self._free.get(offset_ms, []) if row not in taken]
        self.slot_of_row[rows] = slots

    def add_block(self, offset_ms: int) -> int:
        block = self.block_count
        self.block_count += 1
        if self.block_count * BLOCK_ROWS > len(self._matrix):
            blocks = max(self.block_count, self.block_count * 5 // 4)
            self._matrix.grow(blocks * BLOCK_ROWS)
            grown = np.full(blocks * BLOCK_ROWS, NOBODY, np.uint32)
            grown[: len(self.slot_of_row)] = self.slot_of_row
            self.slot_of_row = grown
        self.offset = np.append(self.offset, offset_ms)
        self.first = np.append(self.first, -1)
        self.low = np.append(self.low, 0)
        self.last = np.append(self.last, -1)
        self.segment = np.append(self.segment, 0)
        self._closed_at = np.append(self._closed_at, _NEVER)
        self._closed_in = np.append(self._closed_in, 0)
        self.used.append(0)
        return block

    def free(self, rows: Int64) -> None:
        """Give rows back; what they held is gone."""
        self.slot_of_row[rows] = NOBODY
        self.values.view(np.uint64)[rows] = np.uint64(ABSENT_BITS)
        for row in rows.tolist():
            self._free.setdefault(int(self.offset[row >> _BLOCK_BITS]), []).append(row)

    @staticmethod
    def blocks_of(rows: Int64) -> Int64:
        return np.unique(rows >> _BLOCK_BITS)

    # -- writing -----------------------------------------------------------------------------------------------------

    def overdue(self, blocks: Int64, number: int) -> list[int]:
        """Blocks with samples whose window ends before scrape `number`."""
        due = (number >= self.first[blocks] + SLOTS) & (self.last[blocks] >= self.low[blocks])
        return blocks[due].tolist() if due.any() else []

    def open(self, blocks: Int64, number: int, *, stagger: bool, segment: int) -> None:
        """Start windows at scrape `number` where nothing is written yet and the window does not hold it."""
        start = self.first[blocks]
        empty = self.last[blocks] < self.low[blocks]
        if not empty.any():
            return
        self.segment[blocks[empty]] = segment
        fresh = empty & ((start < 0) | (number < start) | (number >= start + SLOTS))
        if fresh.any():
            which = blocks[fresh]
            self.first[which] = number - np.where(stagger & (self.first[which] < 0), which * _STAGGER % SLOTS, 0)
            self.low[which] = number
            self.last[which] = number - 1

    def write(self, rows: Int64, number: int, values: Float64, blocks: Int64, spans: Sequence[tuple[slice, slice]] = ()) -> Int64:
        """Put one scrape into its cells; answers the places (0..n-1) whose cell was taken already, untouched.

        Every window must hold `number` (see `overdue`, `open`). `spans` are the same rows as runs, (places, rows) each: a
        strided write costs a quarter of one through row numbers.
        """
        slot = number % SLOTS
        cells = self.values
        self.low[blocks] = np.where(self.last[blocks] < self.low[blocks], number, np.minimum(self.low[blocks], number))
        self.last[blocks] = np.maximum(self.last[blocks], number)
        bits = cells.view(np.uint64)
        if spans and not any((bits[span, slot] != np.uint64(ABSENT_BITS)).any() for _, span in spans):
            for places, span in spans:
                cells[span, slot] = values[places]
            return np.empty(0, np.int64)
        taken = bits[rows, slot] != np.uint64(ABSENT_BITS)
        if taken.any():
            free = ~taken
            cells[rows[free], slot] = values[free]
            return np.flatnonzero(taken)
        cells[rows, slot] = values
        return np.empty(0, np.int64)

    def pass_by(self, blocks: Int64, number: int) -> None:
        """Scrape `number` is in chunks already: where nothing is open, the window begins after it."""
        behind = (self.last[blocks] < self.low[blocks]) & (self.first[blocks] <= number)
        which = blocks[behind]
        self.first[which] = self.low[which] = number + 1
        self.last[which] = number

    def any_sample(self, row: int, low: int, high: int) -> bool:
        """Whether a row holds a sample with a number in low..high (inside its window)."""
        numbers = np.arange(low, high + 1)
        return bool((self.values.view(np.uint64)[row, numbers % SLOTS] != np.uint64(ABSENT_BITS)).any())

    def contradictions(self, rows: Int64, number: int, values: Float64) -> int:
        """How many cells hold another value than this."""
        cells = self.values.view(np.uint64)[rows, number % SLOTS]
        return int((cells != values.view(np.uint64)).sum())

    def close(self, block: int, ids: UInt32, *, number: int | None = None, segment: int = 0) -> Window | None:
        """Take the window out of a block; None when it was empty. `ids` are the series ids by slot.

        To make room for scrape `number`, only the older part goes: the last five minutes stay, so that an instant query
        never has to open a chunk. Without a number everything goes. `segment` is the WAL segment of this moment.
        """
        low, last = int(self.low[block]), int(self.last[block])
        if last < low:
            return None
        rest = last + 1 if number is None else max(last + 1 - self._kept, number - SLOTS + 1)
        rest = max(min(rest, last + 1), low + 1)
        rows = slice(block << _BLOCK_BITS, (block << _BLOCK_BITS) + self.used[block])
        numbers = np.arange(low, rest)
        owners = self.slot_of_row[rows]
        window = Window(
            self.interval_ms,
            int(self.offset[block]),
            block,
            low,
            np.where(owners == NOBODY, 0, ids[np.where(owners == NOBODY, 0, owners)]).astype(np.uint32),
            self.values[rows].take(numbers % SLOTS, axis=1),
        )
        self._forget(block, rows, numbers)
        if number is not None:
            # What stays came after the close before this one, so the log before that is no longer needed for it.
            if rest >= self._closed_at[block]:
                self.segment[block] = self._closed_in[block]
            self._closed_at[block], self._closed_in[block] = number, segment
        return window

    def _forget(self, block: int, rows: slice, numbers: Int64) -> None:
        """Empty the cells of these numbers, the oldest of the window, and move its start past them."""
        if int(self.last[block]) < int(numbers[-1]) + 1:
            self._matrix.clear(rows.start, rows.stop)
        else:
            self.values.view(np.uint64)[rows, numbers % SLOTS] = np.uint64(ABSENT_BITS)
        self.first[block] = self.low[block] = int(numbers[-1]) + 1
        self.last[block] = max(int(self.last[block]), int(numbers[-1]))

    def drop(self, rows: Int64, *, before: int) -> None:
        """Clear the cells of scrapes with a number below `before`: they were sealed."""
        block = int(rows[0]) >> _BLOCK_BITS
        low, last = int(self.low[block]), int(self.last[block])
        gone = np.arange(low, min(before, last + 1))
        every = slice(block << _BLOCK_BITS, (block << _BLOCK_BITS) + self.used[block])
        if int((self.slot_of_row[every] != NOBODY).sum()) > len(rows):
            # Only after damage: others in this block were not sealed with it, so the window stays where it is.
            if len(gone):
                self.values.view(np.uint64)[rows[:, None], (gone % SLOTS)[None, :]] = np.uint64(ABSENT_BITS)
        elif last < before:
            self._matrix.clear(every.start, every.stop)
            self.first[block] = self.low[block] = before
            self.last[block] = before - 1
        elif len(gone):
            self._forget(block, every, gone)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, rows: Int64, ids: Int64, start_ms: int, end_ms: int) -> Iterable[GridPiece]:
        """Open samples of rows [k] (ids [k]) within [start, end], one piece per offset."""
        blocks = rows >> _BLOCK_BITS
        offsets = self.offset[blocks]
        kinds = np.unique(offsets)
        for offset in kinds.tolist():
            mine = slice(None) if len(kinds) == 1 else np.flatnonzero(offsets == offset)
            piece = self._read_offset(rows[mine], ids[mine], blocks[mine], offset, start_ms, end_ms)
            if piece is not None:
                yield piece

    def _read_offset(self, rows: Int64, ids: Int64, blocks: Int64, offset: int, start_ms: int, end_ms: int) -> GridPiece | None:
        starts = self.first[blocks]
        low = max(-((offset - start_ms) // self.interval_ms), int(self.low[blocks].min()))
        high = min((end_ms - offset) // self.interval_ms, int(self.last[blocks].max()))
        if high < low:
            return None
        numbers = np.arange(low, high + 1)
        values = self.values[rows[:, None], (numbers % SLOTS)[None, :]]
        if low < starts.max() or high >= starts.min() + SLOTS:
            # Windows of different blocks start apart: a cell outside its row's window belongs to another number.
            outside = (numbers < starts[:, None]) | (numbers >= starts[:, None] + SLOTS)
            values.view(np.uint64)[outside] = np.uint64(ABSENT_BITS)
        return GridPiece(self.interval_ms, offset, low, ids, values)
