"""Sorted loose samples, as they lie in memory, in chunks and in blocks, and how a query reads them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tocsin.model.series import Float64, Int64
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.regular import on_grids, spans

_KEY_LIMIT = 1 << 62


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

    def of_series(self, wanted: Int64) -> Int64:
        """Places of samples whose id is in `wanted` (sorted, unique)."""
        left = np.searchsorted(self.ids, wanted, "left")
        return spans(left, np.searchsorted(self.ids, wanted, "right"))

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
        return sum(piece.values.nbytes for piece in self.pieces) + 3 * self.rest.ids.nbytes

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
            places = rest.of_series(wanted)
            t_ms = rest.t_ms[places]
            places = places[(t_ms >= start_ms) & (t_ms <= end_ms)]
            if len(places):
                parts.append(Loose(rest.ids[places], rest.t_ms[places], rest.values[places]))
        return parts


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
