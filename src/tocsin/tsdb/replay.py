"""Apply WAL records to a head: crash recovery and following are the same thing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from tocsin.model.series import Float64, Int64
from tocsin.tsdb import damage, exemplars, records
from tocsin.tsdb.chunkfile import ChunkFiles, GridChunk, LooseChunk, rows_of
from tocsin.tsdb.grid import BLOCK_ROWS
from tocsin.tsdb.head import Head
from tocsin.tsdb.index import SLOT_MASK
from tocsin.tsdb.layout import Layout
from tocsin.tsdb.newseries import NewSeries, unpack_series
from tocsin.tsdb.records import Kind
from tocsin.tsdb.run import Run
from tocsin.tsdb.wal import Record

_TWICE = (Kind.SERIES, Kind.LAYOUT, Kind.PLACED)


@dataclass(slots=True)
class _Unfound:
    """Loose runs whose chunks are not there (never synced, damaged, or in a block): what the log has stays, until a cut says
    that a block holds it."""

    entries: set[tuple[int, int]]
    runs: list[Run]


@dataclass(slots=True)
class _Known:
    """A layout as far as its series are known here."""

    layout: Layout
    places: Int64 | None
    """Which values of a scrape belong to it; None = all."""
    sealed: tuple[int, int] = (0, -1)
    """Scrape numbers that are in intact chunks for every series of the layout; they need not be written again."""
    sealed_for: tuple[int, int, int] = (-1, 0, 0)
    """Epoch, interval and offset for which that holds."""


class Replay:
    """Keeps what later records refer to. `verify` = look into chunks before dropping the cells they hold (recovery)."""

    def __init__(self, head: Head, files: ChunkFiles, *, verify: bool, blocks_changed: Callable[[], None]) -> None:
        self._head = head
        self._files = files
        self._verify = verify
        self._blocks_changed = blocks_changed
        self._layouts: dict[int, _Known] = {}
        self._frozen: tuple[int, list[Run]] = (0, [])
        """The newest loose batch, and the runs that it holds."""
        self._unfound: list[_Unfound] = []
        self._definition = b""
        """The definition before: each stands twice, and is read once."""
        self.samples = 0

    def apply(self, record: Record, *, where: str, definitions: bool = True) -> None:
        """One record. `definitions` False = from before the checkpoint: series and places are known already."""
        try:
            self._apply(record, definitions)
        except (ValueError, struct.error, KeyError, IndexError) as error:
            # The checksum held, so a record that does not parse was written by another version, or by a bug.
            damage.report("wal", where, f"record of type {record.kind} cannot be applied: {error}")

    def _apply(self, record: Record, definitions: bool) -> None:
        head, data = self._head, record.payload
        if record.kind in _TWICE:
            if data == self._definition:
                return
            self._definition = data
        match record.kind:
            case Kind.SCRAPE:
                self._scrape(records.unpack_scrape(data))
            case Kind.SAMPLES:
                refs, t_ms, values = records.unpack_samples(data)
                self._samples(refs, t_ms, values)
            case Kind.LAYOUT:
                self._layout(*records.unpack_layout(data))
            case Kind.SEALED:
                self._sealed(records.unpack_sealed(data))
            case Kind.LOOSE_FROZEN:
                self._loose_frozen(records.unpack_number(data))
            case Kind.LOOSE_SEALED:
                self._loose_sealed(*records.unpack_loose_sealed(data))
            case Kind.METADATA:
                metric, kind, help_text, unit = records.unpack_metadata(data)
                head.metadata[metric] = (kind, help_text, unit)
            case Kind.CUT:
                self._cut(orjson.loads(data))
            case Kind.EXEMPLARS:
                head.take_exemplars(*exemplars.unpack(data))
            case Kind.SERIES if definitions:
                _define(head, unpack_series(data))
            case Kind.PLACED if definitions:
                head.place(records.unpack_placed(data))
            case Kind.GONE if definitions:
                head.forget(records.unpack_refs(data))
            case Kind.SERIES | Kind.PLACED | Kind.GONE:
                pass
            case _:
                raise ValueError("unknown type")

    def _layout(self, number: int, refs: Int64) -> None:
        known = self._head.index.known(refs)
        places = None if known.all() else np.flatnonzero(known)
        self._layouts[number] = _Known(Layout.of(number, refs[known]), places)

    def _scrape(self, scrape: records.Scrape) -> None:
        known = self._layouts[scrape.layout]
        layout, values = known.layout, scrape.values
        if known.places is not None:
            values = values[known.places]
        if len(values) != len(layout.refs):
            raise ValueError(f"{len(values)} values for {len(layout.refs)} series")
        head, grid_ms = self._head, scrape.grid_ms
        if grid_ms > 0:
            settle_and_place(head, layout, grid_ms, scrape.t_ms % grid_ms)
            if self._is_sealed(known, scrape.t_ms // grid_ms):
                head.grids[grid_ms].pass_by(layout.blocks, scrape.t_ms // grid_ms)
                return
        head.write_scrape(layout, scrape.t_ms, grid_ms, values)
        self.samples += len(values)

    def _is_sealed(self, known: _Known, number: int) -> bool:
        layout = known.layout
        state = (self._head.epoch, layout.interval_ms, layout.offset_ms)
        if known.sealed_for != state:
            known.sealed_for, known.sealed = state, self._sealed_span(layout)
        return known.sealed[0] <= number <= known.sealed[1]

    def _sealed_span(self, layout: Layout) -> tuple[int, int]:
        """Scrape numbers that chunks hold for every series of a layout; first > last when there are none."""
        if layout.elsewhere is not None or len(layout.repeats):
            return 0, -1
        low, high = 0, 1 << 62
        for block in layout.blocks.tolist():
            mine = layout.rows // BLOCK_ROWS == block
            local, ids = layout.rows[mine] % BLOCK_ROWS, layout.ids[mine]
            spans = sorted(
                (chunk.first, chunk.first + chunk.columns - 1)
                for chunk in self._head.chunks.get((layout.interval_ms, block), ())
                if chunk.offset_ms == layout.offset_ms
                and rows_of(chunk, local, ids).all()
                and (not self._verify or self._files.intact(chunk))
            )
            run = (0, -1)
            for first, last in spans:
                run = (run[0], max(run[1], last)) if run[1] >= first - 1 and run[1] >= 0 else (first, last)
            low, high = max(low, run[0]), min(high, run[1])
        return low, high

    def _samples(self, refs: Int64, t_ms: Int64, values: Float64) -> None:
        known = self._head.index.known(refs)
        if not known.all():
            refs, t_ms, values = refs[known], t_ms[known], values[known]
        self._head.write_loose(refs & SLOT_MASK, refs >> 32, t_ms, values)
        self.samples += len(refs)

    def _sealed(self, sealed: records.Sealed) -> None:
        for chunk in self._head.chunks.get((sealed.interval_ms, sealed.block), ()):
            if chunk.file == sealed.file and chunk.entry == sealed.position:
                break
        else:
            found = self._files.entry(sealed.file, sealed.position)
            if not isinstance(found, GridChunk):
                return  # not there (never synced, damaged, or already in a block): what the log has stays
            chunk = found
        if not self._verify or self._files.intact(chunk):
            self._head.take_chunk(chunk)

    def _cut(self, note: dict[str, Any]) -> None:
        head = self._head
        consumed = {(file, entry) for file, entry in note["consumed"]}
        head.cut(note["cut_ms"], consumed)
        known = {(chunk.file, chunk.entry) for chunk in head.loose_chunks}
        missing = set()
        for file, entry in note["kept"]:
            if (file, entry) in known:
                continue
            chunk = self._files.entry(file, entry)
            if isinstance(chunk, LooseChunk):
                head.loose_chunks.append(chunk)
            else:
                missing.add((file, entry))
        for one in self._unfound:
            if one.entries & consumed:
                one.entries = one.entries - consumed | missing
            if not one.entries:
                self._drop(one.runs)
        self._unfound = [one for one in self._unfound if one.entries]
        self._blocks_changed()

    def _loose_frozen(self, batch: int) -> None:
        loose = self._head.loose
        loose.settle()
        if batch <= self._frozen[0]:
            self._unfound.clear()  # another writer counts from one again; it began with all these runs in its head
        apart = {id(run) for one in self._unfound for run in one.runs}
        self._frozen = batch, [run for run in loose.runs if id(run) not in apart]

    def _loose_sealed(self, batch: int, entries: list[tuple[int, int]]) -> None:
        head = self._head
        runs = self._frozen[1] if self._frozen[0] == batch else []
        known = {(chunk.file, chunk.entry): chunk for chunk in head.loose_chunks}
        found = [known.get(entry) or self._files.entry(*entry) for entry in entries]
        there = [chunk for chunk in found if isinstance(chunk, LooseChunk)]
        if len(there) < len(found) or (self._verify and not all(map(self._files.intact, there))):
            self._unfound.append(_Unfound(set(entries), runs))
            return
        with head.lock:
            head.loose_chunks.extend(chunk for chunk in there if (chunk.file, chunk.entry) not in known)
            self._drop(runs)

    def _drop(self, runs: list[Run]) -> None:
        """Take runs out of the head: a chunk or a block holds them."""
        gone = {id(run) for run in runs}
        with self._head.lock:
            self._head.loose.runs[:] = [run for run in self._head.loose.runs if id(run) not in gone]


def _define(head: Head, series: NewSeries) -> None:
    """Enter new series; slots that are taken are left alone. Who wants to find them by labels settles the index first."""
    with head.lock:
        ids, slots = head.index.ids, series.refs & SLOT_MASK
        taken = slots < len(ids)
        taken[taken] = ids[slots[taken]] != 0
        head.index.define_anew(series.only(~taken))
        head.widen()


def settle_and_place(head: Head, layout: Layout, grid_ms: int, offset_ms: int) -> records.Placed | None:
    """Make a layout ready for a scrape on a grid; answers what was placed anew."""
    key = (layout.epoch, layout.interval_ms, layout.offset_ms)
    if key == (head.epoch, grid_ms, offset_ms) and layout.elsewhere is None:
        return None
    placed = head.settle_layout(layout, grid_ms, offset_ms)
    if placed is not None:
        head.place(placed)
        layout.epoch = head.epoch
    return placed
