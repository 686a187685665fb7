"""The head: everything that is not in blocks yet, and the rules by which samples enter it.

The same class serves the writer (`db.Store`), crash recovery and the follower in another process: all three apply the
same operations in the same order. What differs is what happens to a full window, given as `on_window`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from tocsin.model.labels import Labels, Matcher
from tocsin.model.series import Bool, Float64, Int64
from tocsin.tsdb.assemble import flatten
from tocsin.tsdb.chunkfile import ChunkFiles, GridChunk, LooseChunk, rows_of
from tocsin.tsdb.exemplars import ExemplarStore, Named
from tocsin.tsdb.grid import BLOCK_ROWS, NOBODY, Grid, Window
from tocsin.tsdb.headview import HeadView, window_pieces
from tocsin.tsdb.index import Index
from tocsin.tsdb.layout import Layout
from tocsin.tsdb.loose import LooseHead
from tocsin.tsdb.piece import GridPiece
from tocsin.tsdb.presence import Presence
from tocsin.tsdb.records import Placed
from tocsin.tsdb.seats import Seated, Seating, Seats
from tocsin.tsdb.tombstones import Tombstones

_NONE = np.empty(0, np.int64)
_SPELL = 8192
"""Series looked at before the lock is given away."""


class Head:
    """Operations take the lock themselves; `lock` is re-entrant so that a writer can hold it over several."""

    def __init__(self, on_window: Callable[[Window], None], *, stagger: bool = True) -> None:
        self.lock = threading.RLock()
        self.index = Index()
        self.grids: dict[int, Grid] = {}
        self.loose = LooseHead()
        self.chunks: dict[tuple[int, int], list[GridChunk]] = {}
        """By (interval, block), in order of time."""
        self.strays: dict[int, list[tuple[GridChunk, int]]] = {}
        """By series id: chunks that hold it in another row than its present one."""
        self.kept: list[Window] = []
        """Closed windows that are not in a chunk file (the disk was full; a follower that lost its place)."""
        self.loose_chunks: list[LooseChunk] = []
        self.metadata: dict[str, tuple[str, str, str]] = {}
        self.exemplars = ExemplarStore()
        self.epoch = 0
        """Moves when rows change hands: layouts look again."""
        self.segment = 0
        """WAL segment that receives what is written now."""
        self.cut_ms = np.iinfo(np.int64).min
        """Regular samples before this instant are in blocks."""
        self._on_window = on_window
        self._stagger = stagger
        self._interval_of: Int64 = np.zeros(1024, np.int64)
        self._row_of: Int64 = np.full(1024, -1, np.int64)
        self._moves = 0
        """Moves when a series gets a row or loses it."""
        self._seating = Seating()

    # -- series ------------------------------------------------------------------------------------------------------

    def define(self, refs: Sequence[int], labels: Sequence[Labels]) -> None:
        """Enter new series under these references. Slots that are taken are left alone."""
        with self.lock:
            ids = self.index.ids
            fresh = [
                (ref, one) for ref, one in zip(refs, labels, strict=True) if (ref & NOBODY) >= len(ids) or ids[ref & NOBODY] == 0
            ]
            slots = [ref & NOBODY for ref, _ in fresh]
            self.index.define([one for _, one in fresh], ids=[ref >> 32 for ref, _ in fresh], slots=slots)
            self.widen()

    def widen(self) -> None:
        """Make room in the arrays by slot."""
        size = len(self.index.ids)
        if size > len(self._row_of):
            rows, intervals = np.full(size, -1, np.int64), np.zeros(size, np.int64)
            rows[: len(self._row_of)], intervals[: len(self._interval_of)] = self._row_of, self._interval_of
            self._row_of, self._interval_of = rows, intervals

    def forget(self, refs: Int64) -> None:
        """Take series out of the head."""
        with self.lock:
            refs = refs[self.index.known(refs)]
            slots = refs & NOBODY
            if not len(slots):
                return
            self._release(slots)
            self.loose.forget(slots)
            for one in (refs >> 32).tolist():
                self.strays.pop(one, None)
            self.index.remove(slots)
            self.epoch += 1

    def _release(self, slots: Int64) -> None:
        placed = slots[self._row_of[slots] >= 0]
        for interval in np.unique(self._interval_of[placed]).tolist():
            self.grids[interval].free(self._row_of[placed[self._interval_of[placed] == interval]])
        self._row_of[placed] = -1
        self._moves += 1

    def place(self, placed: Placed) -> None:
        """Put series on rows of a grid; open samples on another grid become loose ones."""
        with self.lock:
            known = self.index.known(placed.refs)
            slots, rows = (placed.refs & NOBODY)[known], placed.rows[known]
            there = (self._row_of[slots] == rows) & (self._interval_of[slots] == placed.interval_ms)
            slots, rows = slots[~there], rows[~there]
            if not len(slots):
                return
            grid = self.grid(placed.interval_ms)
            # Only after damage does somebody else hold these rows.
            inside = rows[rows < grid.block_count * BLOCK_ROWS]
            holders = np.setdiff1d(grid.slot_of_row[inside], np.append(slots, NOBODY)).astype(np.int64)
            moved = np.concatenate([slots[self._row_of[slots] >= 0], holders])
            if len(moved):
                self._leave(moved)
                self.epoch += 1
            grid.claim(rows, slots, placed.offset_ms)
            self._interval_of[slots] = placed.interval_ms
            self._row_of[slots] = rows
            self._moves += 1

    def _leave(self, slots: Int64) -> None:
        ids = self.index.ids.astype(np.int64)
        for interval in np.unique(self._interval_of[slots]).tolist():
            mine = slots[self._interval_of[slots] == interval]
            rows = self._row_of[mine]
            far = 1 << 62
            for piece in self.grids[interval].read(rows, ids[mine], -far, far):
                samples = flatten(piece, piece.ids)
                of = dict(zip(ids[mine].tolist(), mine.tolist(), strict=True))
                owners = np.array([of[one] for one in samples.ids.tolist()], np.int64)
                self.loose.write(owners, samples.ids, samples.t_ms, samples.values)
            for row, one in zip(rows.tolist(), ids[mine].tolist(), strict=True):
                self._remember_strays(interval, row, one)
        self._release(slots)

    def _remember_strays(self, interval: int, row: int, one: int) -> None:
        block, local = divmod(row, BLOCK_ROWS)
        for chunk in self.chunks.get((interval, block), ()):
            if local < len(chunk.ids) and chunk.ids[local] == one:
                self.strays.setdefault(one, []).append((chunk, local))

    def grid(self, interval_ms: int) -> Grid:
        grid = self.grids.get(interval_ms)
        if grid is None:
            grid = self.grids[interval_ms] = Grid(interval_ms)
        return grid

    def placements(self) -> Callable[[], Iterator[Placed]]:
        """Where every placed series stands, as of now (for a checkpoint); the work is done when it is called."""
        slots = np.flatnonzero(self._row_of[: self.index.slot_count] >= 0)
        refs, intervals, rows = self.index.refs(slots), self._interval_of[slots], self._row_of[slots]
        # Replaced when they grow, never changed for a block that has rows.
        offsets = {interval: grid.offset for interval, grid in self.grids.items()}
        return lambda: _placed(refs, intervals, rows, offsets)

    # -- samples -----------------------------------------------------------------------------------------------------

    def settle_layout(self, layout: Layout, interval_ms: int, offset_ms: int) -> Placed | None:
        """Find the layout's rows on a grid. Answers series that get new rows there, not placed yet."""
        own = layout.slots
        rows = self._row_of[own]
        here = (rows >= 0) & (self._interval_of[own] == interval_ms)
        if len(rows):
            grid = self.grid(interval_ms)
            here[here] = grid.offset[rows[here] // BLOCK_ROWS] == offset_ms
        strangers = np.flatnonzero(~here)
        free = strangers[[not self._busy(slot) for slot in own[strangers].tolist()]] if len(strangers) else _NONE
        placed = None
        if len(free):
            slots, which = np.unique(own[free], return_inverse=True)
            fresh = self.grid(interval_ms).allocate(slots, offset_ms)
            rows[free] = fresh[which]
            here[free] = True
            placed = Placed(interval_ms, offset_ms, self.index.refs(slots), fresh)
        layout.settle(rows)
        layout.elsewhere = None if here.all() else ~here
        layout.blocks = Grid.blocks_of(rows[here])
        layout.interval_ms, layout.offset_ms, layout.epoch = interval_ms, offset_ms, self.epoch
        return placed

    def _busy(self, slot: int) -> bool:
        """Whether a series was written on its present grid in the last few scrapes: then it stays there."""
        row = int(self._row_of[slot])
        if row < 0:
            return False
        grid = self.grids[int(self._interval_of[slot])]
        block = row // BLOCK_ROWS
        last, low = int(grid.last[block]), int(grid.low[block])
        return grid.any_sample(row, max(low, last - 3), last)

    def write_scrape(self, layout: Layout, t_ms: int, grid_ms: int, values: Float64) -> int:
        """One scrape; a layout on a grid must be settled for it. Answers how many samples contradict what is there."""
        with self.lock:
            if grid_ms <= 0 or t_ms < self.cut_ms:
                return self._write_loose_scrape(layout, None, t_ms, values)
            number = t_ms // grid_ms
            grid = self.grids[grid_ms]
            for block in grid.overdue(layout.blocks, number):
                self.close_window(grid, block, number=number)
            grid.open(layout.blocks, number, stagger=self._stagger, segment=self.segment)
            aside = layout.elsewhere
            if len(layout.blocks) and (grid.first[layout.blocks] > number).any():
                late = grid.first[layout.rows // BLOCK_ROWS] > number
                aside = late if aside is None else aside | late
            if aside is None and not len(layout.repeats):
                return self._write_cells(grid, layout.rows, number, values, layout.blocks, layout.spans)
            return self._write_mixed(layout, grid, number, t_ms, values, aside)

    def _write_cells(
        self, grid: Grid, rows: Int64, number: int, values: Float64, blocks: Int64, spans: Sequence[tuple[slice, slice]] = ()
    ) -> int:
        taken = grid.write(rows, number, values, blocks, spans)
        return 0 if not len(taken) else grid.contradictions(rows[taken], number, values[taken])

    def _write_mixed(self, layout: Layout, grid: Grid, number: int, t_ms: int, values: Float64, aside: Bool | None) -> int:
        """A scrape in which some series live elsewhere, come late, or stand twice."""
        regular = np.ones(len(values), np.bool_) if aside is None else ~aside
        once = regular.copy()
        once[layout.repeats] = False
        refused = 0
        # Those that stand twice go one by one, so that the second sees what the first wrote.
        for places in (np.flatnonzero(once), *np.flatnonzero(regular & ~once)[:, None]):
            if len(places):
                rows = layout.rows[places]
                refused += self._write_cells(grid, rows, number, values[places], Grid.blocks_of(rows))
        if aside is not None:
            refused += self._write_loose_scrape(layout, np.flatnonzero(aside), t_ms, values)
        return refused

    def _write_loose_scrape(self, layout: Layout, places: Int64 | None, t_ms: int, values: Float64) -> int:
        slots = layout.slots if places is None else layout.slots[places]
        ids = layout.ids if places is None else layout.ids[places]
        part = values if places is None else values[places]
        return self.write_loose(slots, ids, np.full(len(slots), t_ms, np.int64), part)

    def write_loose(self, slots: Int64, ids: Int64, t_ms: Int64, values: Float64) -> int:
        """Samples at their own times; answers how many contradict what is there."""
        with self.lock:
            in_window = self._in_window(slots, t_ms)
            if not in_window.any():
                return len(self.loose.write(slots, ids, t_ms, values))
            refused = len(self.loose.write(slots[~in_window], ids[~in_window], t_ms[~in_window], values[~in_window]))
            for place in np.flatnonzero(in_window).tolist():  # rare: a pushed sample at the very time of a scrape
                slot, one = int(slots[place]), slice(place, place + 1)
                grid = self.grids[int(self._interval_of[slot])]
                number = int(t_ms[place]) // grid.interval_ms
                row = self._row_of[slot : slot + 1]
                if grid.any_sample(int(row[0]), number, number):
                    refused += grid.contradictions(row, number, values[one])
                else:
                    refused += len(self.loose.write(slots[one], ids[one], t_ms[one], values[one]))
            return refused

    def _in_window(self, slots: Int64, t_ms: Int64) -> Bool:
        """Which samples fall on the grid and into the open window of their series."""
        rows = self._row_of[slots]
        out = np.zeros(len(slots), np.bool_)
        placed = np.flatnonzero(rows >= 0)
        for interval in np.unique(self._interval_of[slots[placed]]).tolist():
            grid = self.grids[interval]
            mine = placed[self._interval_of[slots[placed]] == interval]
            blocks = rows[mine] // BLOCK_ROWS
            number, rest = np.divmod(t_ms[mine], interval)
            out[mine] = (rest == grid.offset[blocks]) & (number >= grid.low[blocks]) & (number <= grid.last[blocks])
        return out

    def take_exemplars(self, capacity: int, listed: Iterable[Named]) -> None:
        """Exemplars that somebody kept before (replay, follower)."""
        self.exemplars.resize(capacity)
        for series, exemplar in listed:
            self.exemplars.add(series, exemplar)

    # -- windows -----------------------------------------------------------------------------------------------------

    def close_window(self, grid: Grid, block: int, *, number: int | None = None) -> None:
        """Seal a window; with `number`, as much of it as that scrape needs room."""
        window = grid.close(block, self.index.ids, number=number, segment=self.segment)
        if window is not None:
            self._on_window(window)

    def add_chunk(self, chunk: GridChunk) -> None:
        self.chunks.setdefault((chunk.interval_ms, chunk.block), []).append(chunk)

    def take_chunk(self, chunk: GridChunk) -> None:
        """Somebody else sealed this window (replay, follower): drop the cells that the chunk holds."""
        with self.lock:
            known = self.chunks.setdefault((chunk.interval_ms, chunk.block), [])
            if not any(one.file == chunk.file and one.position == chunk.position for one in known):
                known.append(chunk)
            grid = self.grids.get(chunk.interval_ms)
            if grid is None or chunk.block >= grid.block_count:
                return
            rows = chunk.block * BLOCK_ROWS + np.arange(len(chunk.ids))
            owners = grid.slot_of_row[rows]
            good = (owners != NOBODY) & (self.index.ids[np.where(owners == NOBODY, 0, owners)] == chunk.ids)
            if good.any():
                grid.drop(rows[good], before=chunk.first + chunk.columns)

    def cut(self, end_ms: int, consumed: set[tuple[int, int]]) -> None:
        """Regular samples before `end_ms` and these loose chunks (file, entry) are in blocks now."""
        with self.lock:
            self.cut_ms = max(self.cut_ms, end_ms)
            for key, chunks in list(self.chunks.items()):
                self.chunks[key] = [chunk for chunk in chunks if chunk.end_ms >= self.cut_ms]
                if not self.chunks[key]:
                    del self.chunks[key]
            for one, places in list(self.strays.items()):
                self.strays[one] = [place for place in places if place[0].end_ms >= self.cut_ms]
                if not self.strays[one]:
                    del self.strays[one]
            self.loose_chunks = [chunk for chunk in self.loose_chunks if (chunk.file, chunk.entry) not in consumed]

    def chunk_files(self) -> set[int]:
        """Numbers of the chunk files in use."""
        with self.lock:
            used = {chunk.file for chunks in self.chunks.values() for chunk in chunks}
            used |= {chunk.file for places in self.strays.values() for chunk, _ in places}
            return used | {chunk.file for chunk in self.loose_chunks}

    def drop_files(self, files: ChunkFiles) -> None:
        """Delete chunk files that nothing refers to any more."""
        used = self.chunk_files() | {files.number}
        for number, _ in files.files():
            if number not in used:
                files.remove(number)
        files.retire_missing()

    def oldest_regular_ms(self) -> int | None:
        """Start of the oldest regular sample of the head."""
        with self.lock:
            times = [chunk.start_ms for chunks in self.chunks.values() for chunk in chunks]
            for grid in self.grids.values():
                written = grid.last >= grid.low
                if written.any():
                    times.append(int((grid.low * grid.interval_ms + grid.offset)[written].min()))
        return max(min(times), int(self.cut_ms)) if times else None

    def has_loose_chunks_before(self, end_ms: int) -> bool:
        return any(chunk.start_ms < end_ms for chunk in self.loose_chunks)

    def idle(self) -> Int64:
        """References of series of which the head holds no sample. May run in a thread: the lock is held in short spells,
        so ask `still_idle` before they are forgotten."""
        with self.lock:
            held = [chunk.ids for chunks in self.chunks.values() for chunk in chunks]
            held += [chunk.ids for chunk in self.loose_chunks]
            held += [window.ids for window in self.kept]
            ids = self.index.ids[: self.index.slot_count].copy()
        if held:
            ids[np.isin(ids, np.unique(np.concatenate(held)))] = 0
        slots = np.flatnonzero(ids)
        refs = ids[slots].astype(np.int64) << 32 | slots
        parts = [self.still_idle(refs[start : start + _SPELL]) for start in range(0, len(refs), _SPELL)]
        found = np.concatenate([*parts, _NONE])
        # Table by table, so that a few of them touch few tables.
        return found[np.argsort(self.index.table_of(found & NOBODY), kind="stable")]

    def still_idle(self, refs: Int64) -> Int64:
        """Those of which no sample is in an open window or a loose run."""
        with self.lock:
            refs = refs[self.index.known(refs)]
            slots = refs & NOBODY
            rows, intervals = self._row_of[slots], self._interval_of[slots]
            busy = np.isin(refs >> 32, np.unique(self.loose.read(np.sort(refs >> 32)).ids))
            for interval, grid in self.grids.items():
                mine = np.flatnonzero((rows >= 0) & (intervals == interval))
                busy[mine] |= grid.hold(rows[mine])
            return refs[~busy]

    def find_strays(self) -> None:
        """After a load: chunks whose rows belong to other series now."""
        ids = self.index.ids
        live = np.flatnonzero(ids)
        order = live[np.argsort(ids[live])]
        ordered = ids[order]
        for (interval, block), chunks in self.chunks.items():
            for chunk in chunks:
                at = np.minimum(np.searchsorted(ordered, chunk.ids), max(len(order) - 1, 0))
                slots = order[at] if len(order) else np.zeros(len(chunk.ids), np.int64)
                known = (ids[slots] == chunk.ids) & (chunk.ids != 0)
                there = self._row_of[slots] == block * BLOCK_ROWS + np.arange(len(chunk.ids))
                there &= self._interval_of[slots] == interval
                for local in np.flatnonzero(known & ~there).tolist():
                    self.strays.setdefault(int(chunk.ids[local]), []).append((chunk, local))

    # -- reading -----------------------------------------------------------------------------------------------------

    def view(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, by: tuple[str, ...] | None = None) -> HeadView:
        """What the head has for `matchers` within [start, end], named by all labels or `by` these alone.

        Holds the lock for the copies of open windows only.
        """
        with self.lock:
            seats = self._seating.of(matchers, self.index, self._row_of, self._interval_of, self._moves)
            labels = self._seating.labels(seats, self.index, by)
            pieces: list[GridPiece] = []
            chunks: list[tuple[GridChunk, Int64]] = []
            regular_start = max(start_ms, int(self.cut_ms))
            if regular_start <= end_ms:
                self._view_grids(seats, regular_start, end_ms, pieces, chunks)
            loose = self.loose.read_open(seats.wanted, start_ms, end_ms)
            runs = self.loose.runs_within(start_ms, end_ms) if len(seats.ids) else []
            loose_chunks = [chunk for chunk in self.loose_chunks if chunk.end_ms >= start_ms and chunk.start_ms <= end_ms]
        return HeadView(seats.ids, seats.wanted, labels, pieces, loose, runs, chunks, loose_chunks, regular_start)

    def present(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, tombstones: Tombstones) -> Int64:
        """Slots of series with samples in range; for sealed windows it is enough that the window overlaps it."""
        with self.lock:
            slots = self.index.match(matchers)
            ids = self.index.ids[slots].astype(np.int64)
            rows, intervals = self._row_of[slots], self._interval_of[slots]
            found = Presence(ids, start_ms, end_ms, tombstones)
            for interval, grid in self.grids.items():
                mine = np.flatnonzero((rows >= 0) & (intervals == interval))
                found.in_chunks(self.chunks, interval, mine, rows[mine])
                found.in_windows(grid, mine, rows[mine])
            found.elsewhere(self.strays, self.loose_chunks, self.kept, self.loose)
            return slots[found.found]

    def _view_grids(
        self, seats: Seats, start_ms: int, end_ms: int, pieces: list[GridPiece], chunks: list[tuple[GridChunk, Int64]]
    ) -> None:
        if self.strays:
            for one in seats.ids.tolist():
                for chunk, local in self.strays.get(one, ()):
                    chunks.append((chunk, np.array([local])))
        for seated in seats.placed:
            self._view_chunks(seated, start_ms, end_ms, chunks)
        for window in self.kept:
            pieces.extend(window_pieces(window, seats.ids, start_ms, end_ms))
        for seated in seats.placed:
            pieces.extend(self.grids[seated.interval_ms].read(seated.rows, seated.ids, start_ms, end_ms))

    def _view_chunks(self, seated: Seated, start_ms: int, end_ms: int, out: list[tuple[GridChunk, Int64]]) -> None:
        for block, local, ids in seated.blocks:
            for chunk in self.chunks.get((seated.interval_ms, block), ()):
                if chunk.end_ms >= start_ms and chunk.start_ms <= end_ms:
                    held = rows_of(chunk, local, ids)
                    if held.any():
                        out.append((chunk, local[held]))


def _placed(refs: Int64, intervals: Int64, rows: Int64, offsets: Mapping[int, Int64]) -> Iterator[Placed]:
    for interval in np.unique(intervals).tolist():
        mine = np.flatnonzero(intervals == interval)
        phases = offsets[interval][rows[mine] // BLOCK_ROWS]
        for offset in np.unique(phases).tolist():
            part = phases == offset
            yield Placed(interval, offset, refs[mine[part]], rows[mine[part]])
