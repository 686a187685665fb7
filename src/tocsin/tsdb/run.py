"""Sorted loose samples, as they lie in memory, in chunks and in blocks, and how a query reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tocsin.model.series import Bool, Float64, Int64
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.regular import on_grids, spans

_KEY_LIMIT = 1 << 62
_NEVER, _FOREVER = -(1 << 62), 1 << 62
_NONE = np.empty(0, np.int64)
_FEW = 8
"""So many series are searched one by one before keys for all are worth their memory."""


@dataclass(frozen=True, eq=False)
class Run:
    """Samples sorted by (id, t): ids, t_ms int64 [n], values [n]. Immutable."""

    ids: Int64
    t_ms: Int64
    values: Float64

    @classmethod
    def of(cls, ids: Int64, t_ms: Int64, values: Float64) -> Run:
        """Sort; of equal (id, t) the last one given stays."""
        if (np.where(ids[1:] == ids[:-1], t_ms[1:] > t_ms[:-1], ids[1:] > ids[:-1])).all():
            return cls(ids, t_ms, values)
        order = _sorted(ids, t_ms)
        ids, t_ms, values = ids[order], t_ms[order], values[order]
        last = np.ones(len(ids), np.bool_)
        last[:-1] = (ids[1:] != ids[:-1]) | (t_ms[1:] != t_ms[:-1])
        return cls(ids, t_ms, values) if last.all() else cls(ids[last], t_ms[last], values[last])

    def of_series(self, wanted: Int64, start_ms: int = _NEVER, end_ms: int = _FOREVER) -> Int64 | slice:
        """Places of samples within [start, end] whose id is in `wanted` (sorted, unique); a slice where they are neighbours."""
        heads, starts = self.stretches
        rows = np.searchsorted(heads, wanted)
        there = rows < len(heads)
        there[there] = heads[rows[there]] == wanted[there]
        if not there.all():
            rows = rows[there]
        if not len(rows):
            return slice(0, 0)
        first_ms, last_ms = self.span_ms
        left = starts[rows] if start_ms <= first_ms else self._before(rows, start_ms)
        right = starts[rows + 1] if end_ms >= last_ms else self._before(rows, end_ms + 1)
        begin, end = int(left[0]), int(right[-1])
        return slice(begin, end) if end - begin == int((right - left).sum()) else spans(left, right)

    def _before(self, rows: Int64, at_ms: int) -> Int64:
        """Behind the last sample before this instant, of each of these stretches."""
        if len(rows) > _FEW and (keys := self._keys) is not None:
            first_ms, last_ms = self.span_ms
            span = last_ms - first_ms + 1
            return np.searchsorted(keys, rows * span + min(max(at_ms - first_ms, 0), span))
        starts = self.stretches[1]
        bounds = zip(starts[rows].tolist(), starts[rows + 1].tolist(), strict=True)
        return np.array([begin + int(self.t_ms[begin:end].searchsorted(at_ms)) for begin, end in bounds], np.int64)

    @cached_property
    def stretches(self) -> tuple[Int64, Int64]:
        """The ids [k] in here, and where the samples of each begin [k + 1]."""
        starts = beginnings(self.ids)
        return self.ids[starts], np.append(starts, len(self.ids))

    @cached_property
    def _keys(self) -> Int64 | None:
        """One ascending number per sample, by which many series are searched at once; None where it has no room."""
        first_ms, last_ms = self.span_ms
        starts = self.stretches[1]
        span = last_ms - first_ms + 1
        if len(starts) * span >= _KEY_LIMIT:
            return None
        keys: Int64 = self.t_ms + np.repeat(np.arange(len(starts) - 1) * span - first_ms, np.diff(starts))
        return keys

    @cached_property
    def span_ms(self) -> tuple[int, int]:
        """Times of the oldest and the newest sample; of an empty one nothing overlaps them."""
        return (int(self.t_ms.min()), int(self.t_ms.max())) if len(self.t_ms) else (1, 0)

    @cached_property
    def split(self) -> Split:
        """What queries read; worked out once."""
        pieces, taken = on_grids(self.ids, self.t_ms, self.values)
        if not pieces:
            return Split((), self)
        rest = ~taken
        return Split(tuple(pieces), Run(self.ids[rest], self.t_ms[rest], self.values[rest]))


@dataclass(frozen=True, slots=True)
class Split:
    """A run as matrices of the samples that are evenly spaced (ids ascending), and the rest."""

    pieces: tuple[GridPiece, ...]
    rest: Run

    @property
    def nbytes(self) -> int:
        return sum(piece.values.nbytes for piece in self.pieces) + 4 * self.rest.ids.nbytes

    def read(self, wanted: Int64, start_ms: int, end_ms: int) -> list[Part]:
        """Samples of series `wanted` (ids, ascending) within [start, end]."""
        parts: list[Part] = []
        for piece in self.pieces:
            inside = piece.within(start_ms, end_ms)
            if inside is not None and len(rows := _places(piece.ids, wanted)):
                if len(rows) < len(piece.ids):
                    inside = GridPiece(inside.interval_ms, inside.offset_ms, inside.first, piece.ids[rows], inside.values[rows])
                parts.append(inside)
        rest = self.rest
        if len(rest.ids):
            places = rest.of_series(wanted, start_ms, end_ms)
            ids = rest.ids[places]
            if len(ids):
                parts.append(Loose(ids, rest.t_ms[places], rest.values[places]))
        return parts


@dataclass(frozen=True, slots=True)
class Laid:
    """Samples series by series: ids [k] ascending, series i has starts[i] <= j < starts[i + 1] of t_ms and values [n]."""

    ids: Int64
    starts: Int64
    t_ms: Int64
    values: Float64

    @classmethod
    def of(cls, parts: Sequence[Loose]) -> Laid:
        """Lay out parts in order of precedence. Stretches of one series are moved as they are; only samples that are really
        out of order are sorted. Of equal (id, t) the last one stays."""
        if not parts:
            return cls(_NONE, np.zeros(1, np.int64), _NONE, _NONE.astype(np.float64))
        ids, t_ms, values = joined(parts)
        begins = beginnings(ids)
        ends = np.append(begins[1:], len(ids))
        owners = ids[begins]
        if (owners[1:] < owners[:-1]).any():
            order = np.argsort(owners, kind="stable")
            begins, ends, owners = begins[order], ends[order], owners[order]
            places = spans(begins, ends)
            t_ms, values = t_ms[places], values[places]
        first = beginnings(owners)
        counts = np.add.reduceat(ends - begins, first) if len(first) else first
        starts = np.zeros(len(first) + 1, np.int64)
        np.cumsum(counts, out=starts[1:])
        rising = t_ms[1:] > t_ms[:-1]
        rising[starts[1:-1] - 1] = True
        if rising.all():
            return cls(owners[first], starts, t_ms, values)
        run = Run.of(np.repeat(owners[first], counts), t_ms, values)
        first = beginnings(run.ids)
        return cls(run.ids[first], np.append(first, len(run.ids)), run.t_ms, run.values)

    def some(self, which: Bool) -> Laid:
        """Only these series [k]."""
        if which.all():
            return self
        begins, ends = self.starts[:-1][which], self.starts[1:][which]
        starts = np.zeros(len(begins) + 1, np.int64)
        np.cumsum(ends - begins, out=starts[1:])
        places = spans(begins, ends)
        return Laid(self.ids[which], starts, self.t_ms[places], self.values[places])

    def loose(self) -> Loose:
        return Loose(np.repeat(self.ids, np.diff(self.starts)), self.t_ms, self.values)


def joined(parts: Sequence[Loose]) -> tuple[Int64, Int64, Float64]:
    """ids, t_ms and values of all parts."""
    if len(parts) == 1:
        return parts[0].ids, parts[0].t_ms, parts[0].values
    return (
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.t_ms for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def beginnings(ids: Int64) -> Int64:
    """Where each stretch of equal ids begins."""
    changes = np.flatnonzero(ids[1:] != ids[:-1])
    out = np.zeros(len(changes) + min(len(ids), 1), np.int64)
    out[1:] = changes + 1
    return out


def _sorted(ids: Int64, t_ms: Int64) -> Int64:
    """Places in the order of (id, t), equal ones as they were. One key where it fits: runs that are sorted are only merged."""
    first = int(t_ms.min())
    span = int(t_ms.max()) - first + 1
    if int(ids.max()) * span < _KEY_LIMIT:
        return np.argsort(ids * span + (t_ms - first), kind="stable")
    return np.lexsort((t_ms, ids))


def _places(ids: Int64, wanted: Int64) -> Int64:
    """Places in `ids` of those that are wanted; both ascending."""
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    found: Int64 = at[ids[at] == wanted]
    return found
