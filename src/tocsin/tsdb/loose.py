"""The open part of samples at their own times: pushed, explicit timestamps, out of order, of any age.

A log with sorted runs, as in an LSM tree: new samples go to a small unsorted table; full, it becomes a run sorted by
(id, time); when the runs together are large enough they are written to a head chunk file. 20 bytes per sample, and a
series that is pushed once an hour costs what it holds, not a window.
"""

from __future__ import annotations

import numpy as np

from tocsin.model.series import Bool, Float64, Int64
from tocsin.tsdb.piece import Loose
from tocsin.tsdb.run import Run, joined

__all__ = ["RUNS_SAMPLES", "LooseHead", "Run"]

_TABLE_SAMPLES = 4096
RUNS_SAMPLES = 262_144
"""Samples in runs that are worth a chunk file entry."""
_NEVER = np.iinfo(np.int64).min


class LooseHead:
    """Not thread-safe; the head's lock protects it. Runs are immutable and may be read outside the lock."""

    def __init__(self) -> None:
        self._ids = np.empty(_TABLE_SAMPLES, np.int64)
        self._t = np.empty(_TABLE_SAMPLES, np.int64)
        self._values = np.empty(_TABLE_SAMPLES)
        self._count = 0
        self.runs: list[Run] = []
        self._newest: Int64 = np.full(1024, _NEVER, np.int64)
        """By slot: time of the newest sample written here; later ones cannot be duplicates."""

    @property
    def sample_count(self) -> int:
        return self._count + sum(len(run.ids) for run in self.runs)

    def write(self, slots: Int64, ids: Int64, t_ms: Int64, values: Float64) -> Int64:
        """Add samples; answers the places whose (series, t) is taken by another value. Equal ones count as written."""
        highest = int(slots.max(initial=0))
        if highest >= len(self._newest):
            grown = np.full(max(highest + 1, len(self._newest) * 5 // 4), _NEVER, np.int64)
            grown[: len(self._newest)] = self._newest
            self._newest = grown
        newer = t_ms > self._newest[slots]
        if newer.all() and _unique(slots):
            self._newest[slots] = t_ms
            self._add(ids, t_ms, values)
            return np.empty(0, np.int64)
        keep, refused = self._judge(ids, t_ms, values, newer)
        np.maximum.at(self._newest, slots[keep], t_ms[keep])
        self._add(ids[keep], t_ms[keep], values[keep])
        return refused

    def _judge(self, ids: Int64, t_ms: Int64, values: Float64, newer: Bool) -> tuple[Int64, Int64]:
        """(places to keep, places to refuse); neither = an equal sample is there already."""
        bits = values.view(np.uint64)
        order = np.lexsort((t_ms, ids))
        same = np.zeros(len(ids), np.bool_)
        same[1:] = (ids[order][1:] == ids[order][:-1]) & (t_ms[order][1:] == t_ms[order][:-1])
        # The first of equal (id, t) within the batch decides for the others; lexsort is stable.
        leader = order[np.maximum.accumulate(np.where(same, 0, np.arange(len(ids))))]
        drop, differs = np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.bool_)
        drop[order[same]] = True
        differs[order] = bits[order] != bits[leader]
        older = np.flatnonzero(~newer)
        if len(older):
            there = self.read(np.unique(ids[older]))
            if len(there.ids):
                known = Run.of(there.ids, there.t_ms, there.values)
                at = _find(known, ids[older], t_ms[older])
                hit = at >= 0
                drop[older[hit]] = True
                differs[older[hit]] |= known.values[at[hit]].view(np.uint64) != bits[older[hit]]
        return np.flatnonzero(~drop), np.flatnonzero(differs)

    def _add(self, ids: Int64, t_ms: Int64, values: Float64) -> None:
        count = len(ids)
        if count >= _TABLE_SAMPLES:
            self.settle()
            self.runs.append(Run.of(ids, t_ms, values))
            return
        if self._count + count > _TABLE_SAMPLES:
            self.settle()
        place = slice(self._count, self._count + count)
        self._ids[place], self._t[place], self._values[place] = ids, t_ms, values
        self._count += count

    def settle(self) -> None:
        """Turn the unsorted table into a run."""
        if self._count:
            n = self._count
            self.runs.append(Run.of(self._ids[:n].copy(), self._t[:n].copy(), self._values[:n].copy()))
            self._count = 0

    def read(self, wanted: Int64, start_ms: int = _NEVER, end_ms: int = np.iinfo(np.int64).max) -> Loose:
        """Open samples of series ids `wanted` (sorted, unique) within [start, end], oldest writes first."""
        parts = []
        for run in self.runs_within(start_ms, end_ms):
            places = run.of_series(wanted, start_ms, end_ms)
            parts.append(Loose(run.ids[places], run.t_ms[places], run.values[places]))
        return Loose(*joined([*parts, self.read_open(wanted, start_ms, end_ms)]))

    def runs_within(self, start_ms: int, end_ms: int) -> list[Run]:
        """Runs with samples within [start, end], oldest writes first; they may be read outside the lock."""
        return [run for run in self.runs if run.span_ms[0] <= end_ms and run.span_ms[1] >= start_ms]

    def read_open(self, wanted: Int64, start_ms: int, end_ms: int) -> Loose:
        """Samples of the unsorted table, written after those of all runs."""
        n = self._count if len(wanted) else 0
        ids, t_ms = self._ids[:n], self._t[:n]
        at = np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)
        mine = np.flatnonzero((wanted[at] == ids) & (t_ms >= start_ms) & (t_ms <= end_ms)) if n else np.empty(0, np.int64)
        return Loose(ids[mine], t_ms[mine], self._values[:n][mine])

    def forget(self, slots: Int64) -> None:
        """These slots get new owners."""
        inside = slots[slots < len(self._newest)]
        self._newest[inside] = _NEVER


def _unique(slots: Int64) -> bool:
    ordered = np.sort(slots)
    return not bool((ordered[1:] == ordered[:-1]).any())


def _find(run: Run, ids: Int64, t_ms: Int64) -> Int64:
    """Places of (id, t) pairs in a run, -1 where it has none."""
    distinct, which = np.unique(run.t_ms, return_inverse=True)
    rank = np.searchsorted(distinct, t_ms)
    known = rank < len(distinct)
    known[known] = distinct[rank[known]] == t_ms[known]
    width = len(distinct) + 1
    keys = run.ids * width + which
    at = np.minimum(np.searchsorted(keys, ids * width + rank), len(keys) - 1)
    return np.where(known & (keys[at] == ids * width + rank), at, -1)
