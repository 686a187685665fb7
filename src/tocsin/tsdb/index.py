"""The label index of the head: which series exist, by labels, by slot, by matcher.

A series has a *slot* (dense, reused after it left) and an *id* (counts up from 1, never reused). The reference handed to
writers is `id << 32 | slot`, so that a reference to a series that left cannot reach its successor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import METADATA_LABELS, METRIC_NAME, Labels, Matcher, MatchOp
from tocsin.model.series import Int64
from tocsin.tsdb.newseries import NewSeries
from tocsin.tsdb.symbols import Symbols
from tocsin.tsdb.table import Table, UInt32, UInt64, Verdicts, match_rows

SLOT_MASK = 0xFFFFFFFF
_OVERLAY_MIN = 8_192
_LABELS_KEPT = 50_000
_MATCHES_KEPT = 2_048


@dataclass(frozen=True, slots=True)
class Match:
    """What a set of matchers found: slots int64 [k]; labels are made when first asked for."""

    version: int
    slots: Int64


class Index:
    """Not thread-safe; the head's lock protects it."""

    def __init__(self) -> None:
        self.symbols = Symbols()
        self.tables: list[Table] = []
        self._by_key: dict[tuple[str, tuple[str, ...]], Table] = {}
        self._by_metric: dict[str, list[Table]] = {}
        self.ids: UInt32 = np.zeros(1024, np.uint32)
        """By slot; 0 = free."""
        self._table_of: UInt32 = np.zeros(1024, np.uint32)
        self._row_of: UInt32 = np.zeros(1024, np.uint32)
        self.slot_count = 0
        """Slots ever used; free ones among them are in `free_slots`."""
        self.free_slots: list[int] = []
        self.next_id = 1
        self.version = 0
        """Moves when a series appears or leaves."""
        # Look-up by labels: recent series in a dictionary, the rest as sorted hashes (12 bytes per series).
        self._overlay: dict[tuple[int, ...], int] = {}
        self._hashes: UInt64 = np.empty(0, np.uint64)
        self._hashed_slots: UInt32 = np.empty(0, np.uint32)
        self._verdicts = Verdicts(self.symbols)
        self._labels: dict[int, Labels] = {}
        self._matches: dict[tuple[Matcher, ...], Match] = {}

    def use_symbols(self, symbols: Symbols) -> None:
        """Start from these symbols (restart); only while the index is empty."""
        assert not self.tables
        self.symbols = symbols
        self._verdicts = Verdicts(symbols)

    @property
    def series_count(self) -> int:
        return self.slot_count - len(self.free_slots)

    # -- by labels ---------------------------------------------------------------------------------------------------

    def find(self, labels: Sequence[Labels]) -> Int64:
        """Slots of series, -1 where there is none. int64 [n]."""
        found = np.full(len(labels), -1, np.int64)
        pending: dict[int, tuple[list[int], list[list[int]]]] = {}
        numbers = self.symbols.find
        for place, one in enumerate(labels):  # one dictionary walk per label set; columns do not exist yet
            metric, names, values = shape(one)
            table = self._by_key.get((metric, names))
            if table is None:
                continue
            row = [numbers(value) for value in values]
            slot = self._overlay.get((table.number, *row))
            if slot is not None:
                found[place] = slot
            elif -1 not in row:
                places, rows = pending.setdefault(table.number, ([], []))
                places.append(place)
                rows.append(row)
        for number, (places, rows) in pending.items():
            found[places] = self._find_rows(self.tables[number], np.array(rows, np.uint32).reshape(len(rows), -1))
        return found

    def _find_rows(self, table: Table, cells: UInt32) -> Int64:
        if not len(self._hashes):
            return np.full(len(cells), -1, np.int64)
        hashes = table.hashes(cells)
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        slots = self._hashed_slots[at]
        # The hash only proposes: table and cells decide, so a slot that was reused meanwhile is not mistaken.
        good = (self._hashes[at] == hashes) & (self.ids[slots] != 0) & (self._table_of[slots] == table.number)
        rows = np.where(good, self._row_of[slots], 0)
        good &= rows < table.count
        rows[~good] = 0
        if table.count:
            good &= (table.cells[rows] == cells).all(1)
        return np.where(good, slots.astype(np.int64), -1)

    def define(self, labels: Sequence[Labels], *, ids: Sequence[int], slots: Sequence[int]) -> None:
        """Enter new series. The caller has made sure that neither labels nor slots are taken."""
        grouped: dict[int, tuple[list[int], list[list[int]]]] = {}
        intern = self.symbols.intern
        for one, slot in zip(labels, slots, strict=True):
            metric, names, values = shape(one)
            table = self.table(metric, names)
            row = [intern(value) for value in values]
            self._overlay[(table.number, *row)] = slot
            taken, rows = grouped.setdefault(table.number, ([], []))
            taken.append(slot)
            rows.append(row)
        self.claim(ids, slots)
        for number, (taken, rows) in grouped.items():
            self._enter(self.tables[number], np.array(taken, np.int64), np.array(rows, np.uint32).reshape(len(rows), -1))
        if len(self._overlay) > max(_OVERLAY_MIN, self.series_count // 4):
            self.settle()

    def define_anew(self, series: NewSeries) -> None:
        """Enter series that the log tells of, without the dictionary of recent ones: `find` knows them after `settle`."""
        slots, intern = series.refs & SLOT_MASK, self.symbols.intern
        self.claim((series.refs >> 32).astype(np.uint32), slots)
        numbers = np.zeros(len(series.texts), np.uint32)
        for shape in series.shapes():
            for number in np.unique(shape.values).tolist():
                numbers[number] = numbers[number] or intern(series.texts[number])
            self._enter(self.table(shape.metric, shape.names), slots[shape.places], numbers[shape.values])

    def claim(self, ids: Sequence[int] | UInt32, slots: Sequence[int] | UInt32 | Int64) -> None:
        """Mark slots as taken by ids."""
        if not len(slots):
            return
        highest = int(np.max(slots))
        if highest >= len(self.ids):
            size = max(highest + 1, len(self.ids) * 5 // 4)
            self.ids, self._table_of, self._row_of = (_resized(a, size) for a in (self.ids, self._table_of, self._row_of))
        self.ids[slots] = ids
        if highest >= self.slot_count:
            taken = set(np.asarray(slots).tolist())
            self.free_slots.extend(slot for slot in range(highest, self.slot_count - 1, -1) if slot not in taken)
            self.slot_count = highest + 1
        if self.free_slots:
            self.free_slots = [slot for slot in self.free_slots if not self.ids[slot]]
        self.next_id = max(self.next_id, int(np.max(ids)) + 1)
        self.version += 1

    def _enter(self, table: Table, slots: Int64, rows: UInt32) -> None:
        first = table.append(rows, slots)
        self._table_of[slots] = table.number
        self._row_of[slots] = np.arange(first, first + len(slots))

    def load_table(self, metric: str, names: tuple[str, ...], rows: UInt32, slots: UInt32) -> None:
        """Enter a whole table from arrays (restart); cells are numbers of `symbols`. Call `claim` before, `settle` after."""
        table = self.table(metric, names)
        if table.count:
            self._enter(table, slots.astype(np.int64), rows)
            return
        table.adopt(rows, slots)
        self._table_of[slots] = table.number
        self._row_of[slots] = np.arange(len(slots))

    def table(self, metric: str, names: tuple[str, ...]) -> Table:
        table = self._by_key.get((metric, names))
        if table is None:
            table = self._by_key[metric, names] = Table(len(self.tables), metric, names)
            self.tables.append(table)
            self._by_metric.setdefault(metric, []).append(table)
        return table

    def settle(self) -> None:
        """Fold the dictionary of recent series into the sorted hashes."""
        hashes, slots = [], []
        for table in self.tables:
            if table.count:
                hashes.append(table.hashes(table.cells[: table.count]))
                slots.append(table.slots[: table.count])
        if hashes:
            joined = np.concatenate(hashes)
            order = np.argsort(joined)
            self._hashes, self._hashed_slots = joined[order], np.concatenate(slots)[order]
        self._overlay.clear()

    def remove(self, slots: Int64) -> None:
        """Take series out; their slots become free."""
        for number in np.unique(self._table_of[slots]).tolist():
            table = self.tables[number]
            gone = slots[self._table_of[slots] == number]
            rows = self._row_of[gone].astype(np.int64)
            for row in table.cells[rows].tolist():
                self._overlay.pop((number, *row), None)
            table.remove(rows)
            self._row_of[table.slots] = np.arange(table.count)
        self.ids[slots] = 0
        self.free_slots.extend(slots.tolist())
        self.version += 1
        self._labels.clear()

    # -- by slot -----------------------------------------------------------------------------------------------------

    def refs(self, slots: Int64) -> Int64:
        return np.where(slots >= 0, self.ids[slots].astype(np.int64) << 32 | slots, -1)

    def table_of(self, slots: Int64) -> Int64:
        """Numbers of the tables that series stand in."""
        return self._table_of[slots].astype(np.int64)

    def known(self, refs: Int64) -> npt.NDArray[np.bool_]:
        """Which references still mean a series."""
        slots = refs & SLOT_MASK
        inside = (refs >= 0) & (slots < self.slot_count)
        good: npt.NDArray[np.bool_] = inside & (self.ids[np.where(inside, slots, 0)] == refs >> 32)
        return good

    def labels(self, slots: Int64) -> tuple[Labels, ...]:
        """Labels of live series."""
        wanted = slots.tolist()
        cache = self._labels
        missing = [slot for slot in wanted if slot not in cache]
        if missing:
            if len(cache) + len(missing) > _LABELS_KEPT:
                cache.clear()
                missing = list(dict.fromkeys(wanted))
            self._make_labels(np.array(missing, np.int64))
        return tuple([cache[slot] for slot in wanted])

    def _make_labels(self, slots: Int64) -> None:
        numbers = self._table_of[slots]
        for number in np.unique(numbers).tolist():
            part = slots[numbers == number]
            made = self.tables[number].labels(self._row_of[part].astype(np.int64), self.symbols.texts)
            self._labels.update(zip(part.tolist(), made, strict=True))

    def labels_by(self, slots: Int64, names: tuple[str, ...]) -> tuple[Labels, ...]:
        """Labels of live series without any but these and the name; whole where series might become the same metric's same."""
        numbers = self._table_of[slots]
        tables = [self.tables[number] for number in np.unique(numbers).tolist()]
        if any(name in METADATA_LABELS for table in tables for name in table.names):
            return self.labels(slots)
        if len(tables) == 1:
            return tuple(tables[0].labels_by(self._row_of[slots].astype(np.int64), names, self.symbols.texts))
        found = np.empty(len(slots), object)
        for table in tables:
            mine = np.flatnonzero(numbers == table.number)
            found[mine] = table.labels_by(self._row_of[slots[mine]].astype(np.int64), names, self.symbols.texts)
        return tuple(found.tolist())

    # -- by matcher --------------------------------------------------------------------------------------------------

    def match(self, matchers: Sequence[Matcher]) -> Int64:
        """Slots of the series that pass every matcher. Remembered until a series appears or leaves."""
        key = tuple(matchers)
        match = self._matches.get(key)
        if match is None or match.version != self.version:
            if len(self._matches) >= _MATCHES_KEPT:
                self._matches.clear()
            match = self._matches[key] = Match(self.version, self._match(key))
        return match.slots

    def _match(self, matchers: tuple[Matcher, ...]) -> Int64:
        parts = []
        for table in self.candidates(matchers):
            rows = match_rows(table, matchers, self.symbols, self._verdicts)
            if len(rows):
                parts.append(table.slots[rows])
        return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)

    def names(self, slots: Int64) -> set[str]:
        """Label names of series."""
        out: set[str] = set()
        for number in np.unique(self._table_of[slots]).tolist():
            table = self.tables[number]
            out.update(table.names)
            if table.metric:
                out.add(METRIC_NAME)
        return out

    def values(self, name: str, slots: Int64) -> set[str]:
        """Values of a label among series."""
        out: set[str] = set()
        numbers = self._table_of[slots]
        for number in np.unique(numbers).tolist():
            table = self.tables[number]
            if name == METRIC_NAME:
                out.add(table.metric)
            elif name in table.names:
                rows = self._row_of[slots[numbers == number]]
                column = table.cells[rows, table.names.index(name)]
                out.update(self.symbols.texts[value] for value in np.unique(column).tolist())
        out.discard("")
        return out

    def candidates(self, matchers: Sequence[Matcher]) -> list[Table]:
        """Tables whose metric name can match."""
        named = [matcher for matcher in matchers if matcher.name == METRIC_NAME]
        for matcher in named:
            if matcher.op is MatchOp.EQUAL:
                return self._by_metric.get(matcher.value, [])
        return [
            table
            for metric, tables in self._by_metric.items()
            if all(matcher.matches_value(metric) for matcher in named)
            for table in tables
        ]


def shape(labels: Labels) -> tuple[str, tuple[str, ...], list[str]]:
    """Metric name, the other label names, their values."""
    metric = ""
    names, values = [], []
    for name, value in labels.pairs:
        if name == METRIC_NAME:
            metric = value
        else:
            names.append(name)
            values.append(value)
    return metric, tuple(names), values


def _resized(array: UInt32, size: int) -> UInt32:
    out = np.zeros(size, np.uint32)
    out[: len(array)] = array
    return out
