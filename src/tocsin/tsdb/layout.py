"""A layout: the series of one scrape target in the order of its scrapes, resolved once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tocsin.model.series import Bool, Int64
from tocsin.tsdb.index import SLOT_MASK, Index

_MOST_SPANS = 8
_KEPT = 20_000


@dataclass(slots=True, eq=False)
class Layout:
    """refs int64 [n] and what follows from them; the place on the grid is good while `epoch` is the head's."""

    number: int
    refs: Int64
    repeats: Int64
    """Places of references that stood earlier in the layout already."""
    segment: int = -1
    """WAL segment that holds this layout's record."""
    epoch: int = -1
    interval_ms: int = 0
    offset_ms: int = 0
    rows: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    blocks: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    spans: list[tuple[slice, slice]] = field(default_factory=list)
    """The rows as a few runs, (places in the layout, rows) each; empty where they are scattered."""
    elsewhere: Bool | None = None
    """bool [n]: series that live on another grid at the moment; None = all are here."""

    @classmethod
    def of(cls, number: int, refs: Int64) -> Layout:
        slots = refs & SLOT_MASK
        _, first = np.unique(slots, return_index=True)
        repeats = np.setdiff1d(np.arange(len(slots)), first) if len(first) < len(slots) else np.empty(0, np.int64)
        return cls(number, refs.copy() if refs.flags.writeable else refs, repeats)

    def settle(self, rows: Int64) -> None:
        """These are the rows."""
        self.rows = rows
        edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        firsts = rows[edges[:-1]].tolist() if 2 <= len(edges) <= _MOST_SPANS + 1 and len(rows) else []
        self.spans = [
            (slice(start, stop), slice(row, row + stop - start))
            for start, stop, row in zip(edges, edges[1:], firsts, strict=False)
        ]

    @property
    def slots(self) -> Int64:
        return self.refs & SLOT_MASK

    @property
    def ids(self) -> Int64:
        return self.refs >> 32


class Layouts:
    """Layouts by their references, numbered as they come."""

    def __init__(self) -> None:
        self._known: dict[int, Layout] = {}
        self._same: dict[int, Layout] = {}
        """Those of arrays that cannot be changed, by the array's identity; each holds its array."""
        self._number = 0

    def find(self, refs: Int64, index: Index, epoch: int) -> Layout:
        """The layout of these references. Raises KeyError for one that the index does not know."""
        layout = self._same.get(id(refs))
        if layout is not None and layout.refs is refs and layout.epoch == epoch:
            return layout
        key = hash(refs.tobytes())
        layout = self._known.get(key)
        if layout is None or not np.array_equal(layout.refs, refs):
            if not index.known(refs).all():
                raise KeyError("a series reference is not known any more; resolve the labels again")
            layout = self._known[key] = self._new(refs)
        elif layout.epoch != epoch and not index.known(refs).all():
            del self._known[key]
            raise KeyError("a series reference is not known any more; resolve the labels again")
        return layout

    def _new(self, refs: Int64) -> Layout:
        if len(self._known) >= _KEPT:
            self._known.pop(next(iter(self._known)))
            self._same.clear()
        self._number += 1
        layout = Layout.of(self._number, refs)
        if layout.refs is refs:
            self._same[id(refs)] = layout
        return layout
