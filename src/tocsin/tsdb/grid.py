"""The open windows of scraped series: one matrix per scrape interval.

                     slot = scrape number modulo 64
    row of a series  [ v v v v . . . . ]     block 0: 512 rows, all of one phase, window [first, first + 64)
                     [ v v   v . . . . ]     (a missed scrape is a hole)
                     ...
                     [ v v v v v v v . ]     block 1: another phase, another window

Series whose scrapes share a phase share blocks, and so a time grid: sample number n of offset o lies at n * interval + o.
Cells hold something for the numbers low..last of their block only; a number is cleared in all rows when it enters that span.
A full window is sealed block by block; the windows of blocks are staggered, so that at most a few blocks (1 ms each) are
sealed at a time. In memory the rows stand in groups of 64, slot by slot (`memory.Cells`): what is sealed is given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.model.series import ABSENT_BITS, Bool, Float64, Int64, is_absent
from tocsin.tsdb.memory import GROUP_BITS, GROUP_ROWS, SLOTS, Cells
from tocsin.tsdb.piece import GridPiece
from tocsin.tsdb.table import UInt32

_NEVER = 1 << 62
BLOCK_ROWS = 512
_BLOCK_BITS = 9
_BLOCK_GROUPS = BLOCK_ROWS // GROUP_ROWS
_ABSENT = np.uint64(ABSENT_BITS)
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
        self._cells = Cells(_BLOCK_GROUPS)
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
            rows.extend(range(start, start + take))
            self.used[block] += take
            self._blank_rows(np.arange(start, start + take), block)
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
            self.used[block] = used
            self._blank_rows(np.arange(start + before, start + used), block)
            self._open[offset_ms] = max(block, self._open.get(offset_ms, -1))
            skipped = set(range(start + before, start + used)) - set(mine.tolist())
            self._free.setdefault(offset_ms, []).extend(sorted(skipped))
        taken = set(rows.tolist())
        self._free[offset_ms] = [row for row in self._free.get(offset_ms, []) if row not in taken]
        self.slot_of_row[rows] = slots

    def add_block(self, offset_ms: int) -> int:
        block = self.block_count
        self.block_count += 1
        if self.block_count * _BLOCK_GROUPS > len(self._cells):
            blocks = max(self.block_count, self.block_count * 5 // 4)
            self._cells.grow(blocks * _BLOCK_GROUPS)
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
        for block in self.blocks_of(rows).tolist():
            self._blank_rows(rows[rows >> _BLOCK_BITS == block], block)
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

        Every window must hold `number` (see `overdue`, `open`). `spans` are the same rows as runs, (places, rows) each: to
        write those costs a fraction of going through row numbers.
        """
        slot = number % SLOTS
        empty = self._enter(number, blocks)
        cells = self._cells.values
        if spans:
            pieces = [(places, (groups, slot, inside)) for places, groups, inside in _pieces(spans)]
            if empty or not any((cells.view(np.uint64)[where] != _ABSENT).any() for _, where in pieces):
                for places, where in pieces:
                    cells[where] = values[places].reshape(cells[where].shape)
                return np.empty(0, np.int64)
        groups, inside = rows >> GROUP_BITS, rows & GROUP_ROWS - 1
        if not empty:
            taken = cells.view(np.uint64)[groups, slot, inside] != _ABSENT
            if taken.any():
                free = ~taken
                cells[groups[free], slot, inside[free]] = values[free]
                return np.flatnonzero(taken)
        cells[groups, slot, inside] = values
        return np.empty(0, np.int64)

    def _enter(self, number: int, blocks: Int64) -> bool:
        """Bring `number` into low..last of these blocks; answers whether it is new to all of them, and so without a sample."""
        low, last = self.low[blocks], self.last[blocks]
        new = last < low
        if (new | (number == last + 1)).all():
            self._blank_number(blocks, number)
            self.low[blocks], self.last[blocks] = np.where(new, number, low), number
            return True
        for block, first, end in zip(blocks.tolist(), low.tolist(), last.tolist(), strict=True):
            fresh = range(number, number + 1) if end < first else (*range(number, first), *range(end + 1, number + 1))
            for one in fresh:
                self._blank_number(np.array([block]), one)
        self.low[blocks] = np.where(new, number, np.minimum(low, number))
        self.last[blocks] = np.where(new, number, np.maximum(last, number))
        return bool((new | (number < low) | (number > last)).all())

    def _blank_number(self, blocks: Int64, number: int) -> None:
        """No row of these blocks has a sample of `number`."""
        bits, slot = self._cells.bits, number % SLOTS
        for block in blocks.tolist():
            first = block * _BLOCK_GROUPS
            bits[first : first - (-self.used[block] // GROUP_ROWS), slot] = _ABSENT

    def _blank_rows(self, rows: Int64, block: int) -> None:
        """These rows of a block have no sample in its window."""
        slots = self._span(block) % SLOTS
        if len(slots):
            self._cells.bits[rows[:, None] >> GROUP_BITS, slots, rows[:, None] & GROUP_ROWS - 1] = _ABSENT

    def _span(self, block: int) -> Int64:
        """The numbers for which the cells of a block hold something."""
        return np.arange(int(self.low[block]), int(self.last[block]) + 1)

    def _taken(self, rows: Int64, numbers: Int64) -> Float64:
        """Cells [k, m]; the numbers must lie in the spans of the rows' blocks."""
        cells: Float64 = self._cells.values[rows[:, None] >> GROUP_BITS, numbers % SLOTS, rows[:, None] & GROUP_ROWS - 1]
        return cells

    def pass_by(self, blocks: Int64, number: int) -> None:
        """Scrape `number` is in chunks already: where nothing is open, the window begins after it."""
        behind = (self.last[blocks] < self.low[blocks]) & (self.first[blocks] <= number)
        which = blocks[behind]
        self.first[which] = self.low[which] = number + 1
        self.last[which] = number

    def any_sample(self, row: int, low: int, high: int) -> bool:
        """Whether a row holds a sample with a number in low..high."""
        span = self._span(row >> _BLOCK_BITS)
        return not is_absent(self._taken(np.array([row]), span[(span >= low) & (span <= high)])).all()

    def hold(self, rows: Int64) -> Bool:
        """Which rows hold a sample, bool [k]."""
        out = np.zeros(len(rows), np.bool_)
        for block in self.blocks_of(rows).tolist():
            mine = np.flatnonzero(rows >> _BLOCK_BITS == block)
            out[mine] = ~is_absent(self._taken(rows[mine], self._span(block))).all(1)
        return out

    def contradictions(self, rows: Int64, number: int, values: Float64) -> int:
        """How many cells hold another value than this; the number must be in the windows."""
        cells = self._taken(rows, np.array([number]))[:, 0]
        return int((cells.view(np.uint64) != values.view(np.uint64)).sum())

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
        used, group = self.used[block], block * _BLOCK_GROUPS
        numbers = np.arange(low, rest)
        owners = self.slot_of_row[block << _BLOCK_BITS : (block << _BLOCK_BITS) + used]
        cells = self._cells.values[group : group - (-used // GROUP_ROWS), numbers % SLOTS]
        window = Window(
            self.interval_ms,
            int(self.offset[block]),
            block,
            low,
            np.where(owners == NOBODY, 0, ids[np.where(owners == NOBODY, 0, owners)]).astype(np.uint32),
            cells.transpose(0, 2, 1).reshape(-1, len(numbers))[:used],
        )
        self._forget(block, rest)
        if number is not None:
            # What stays came after the close before this one, so the log before that is no longer needed for it.
            if rest >= self._closed_at[block]:
                self.segment[block] = self._closed_in[block]
            self._closed_at[block], self._closed_in[block] = number, segment
        return window

    def _forget(self, block: int, rest: int) -> None:
        """The window begins with `rest` from now on; the memory of what was before goes back."""
        self.first[block] = self.low[block] = rest
        self.last[block] = max(int(self.last[block]), rest - 1)
        group = block * _BLOCK_GROUPS
        self._cells.release(group, group + _BLOCK_GROUPS - 1, set((self._span(block) % SLOTS).tolist()))

    def drop(self, rows: Int64, *, before: int) -> None:
        """Clear the cells of scrapes with a number below `before`: they were sealed."""
        block = int(rows[0]) >> _BLOCK_BITS
        low, last = int(self.low[block]), int(self.last[block])
        every = slice(block << _BLOCK_BITS, (block << _BLOCK_BITS) + self.used[block])
        if int((self.slot_of_row[every] != NOBODY).sum()) > len(rows):
            # Only after damage: others in this block were not sealed with it, so the window stays where it is.
            gone = np.arange(low, min(before, last + 1)) % SLOTS
            self._cells.bits[rows[:, None] >> GROUP_BITS, gone, rows[:, None] & GROUP_ROWS - 1] = _ABSENT
        elif last < before:
            self.last[block] = before - 1
            self._forget(block, before)
        elif before > low:
            self._forget(block, before)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, rows: Int64, ids: Int64, start_ms: int, end_ms: int) -> Iterable[GridPiece]:
        """Open samples of rows [k] (ids [k]) within [start, end], one piece per offset."""
        if not len(rows):
            return
        blocks = rows >> _BLOCK_BITS
        offsets = self.offset[blocks]
        for offset in [int(offsets[0])] if (offsets[:1] == offsets).all() else np.unique(offsets).tolist():
            mine = offsets == offset
            own_rows, own_ids, own_blocks = (rows, ids, blocks) if mine.all() else (rows[mine], ids[mine], blocks[mine])
            piece = self._read_offset(own_rows, own_ids, own_blocks, offset, start_ms, end_ms)
            if piece is not None:
                yield piece

    def _read_offset(self, rows: Int64, ids: Int64, blocks: Int64, offset: int, start_ms: int, end_ms: int) -> GridPiece | None:
        lows, lasts = self.low[blocks], self.last[blocks]
        low = max(-((offset - start_ms) // self.interval_ms), int(lows.min()))
        high = min((end_ms - offset) // self.interval_ms, int(lasts.max()))
        if high < low:
            return None
        numbers = np.arange(low, high + 1)
        values = self._copied(rows, numbers)
        if low < lows.max() or high > lasts.min():
            # Windows of different blocks begin and end apart; beyond them, cells hold anything.
            outside = (numbers < lows[:, None]) | (numbers > lasts[:, None])
            values.view(np.uint64)[outside] = _ABSENT
        return GridPiece(self.interval_ms, offset, low, ids, values)

    def _copied(self, rows: Int64, numbers: Int64) -> Float64:
        """Cells [k, m] as `_taken`, faster where the rows stand in long runs, as those of one target do."""
        edges = np.flatnonzero(rows[1:] != rows[:-1] + 1) + 1
        if len(rows) < (len(edges) + 1) * GROUP_ROWS // 2:
            return self._taken(rows, numbers)
        bounds = zip([0, *edges.tolist()], [*edges.tolist(), len(rows)], strict=True)
        runs = [self._run(int(rows[start]), stop - start, numbers % SLOTS) for start, stop in bounds]
        return runs[0] if len(runs) == 1 else np.concatenate(runs)

    def _run(self, row: int, count: int, slots: Int64) -> Float64:
        """Cells [count, m] of rows that stand one behind the other, by the runs of bytes that a scrape of a group is."""
        group, inside = row >> GROUP_BITS, row & GROUP_ROWS - 1
        cells = self._cells.values[group : (row + count - 1 >> GROUP_BITS) + 1, slots]
        return cells.transpose(0, 2, 1).reshape(-1, len(slots))[inside : inside + count]


def _pieces(spans: Iterable[tuple[slice, slice]]) -> Iterator[tuple[slice, slice, slice]]:
    """Runs of rows, cut at the bounds of groups: (places, groups, rows inside the groups)."""
    for places, span in spans:
        row, place = span.start, places.start
        while row < span.stop:
            group, inside = row >> GROUP_BITS, row & GROUP_ROWS - 1
            count = 1 if inside or span.stop - row < GROUP_ROWS else span.stop - row >> GROUP_BITS
            end = min(span.stop, group + count << GROUP_BITS)
            yield (
                slice(place, place + end - row),
                slice(group, group + count),
                slice(inside, inside + end - row if count == 1 else GROUP_ROWS),
            )
            row, place = end, place + end - row
