"""Where the series of a selector stand in the head: worked out once, because rules and dashboards ask for the same ones again.

    matchers ──▶ slots, ids, labels ──▶ by scrape interval: rows of the grid, and those by block

Good until a series appears, leaves or moves to another row; then it is worked out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tocsin.model.labels import Labels, Matcher
from tocsin.model.series import Int64
from tocsin.tsdb.grid import BLOCK_ROWS
from tocsin.tsdb.index import Index

_SERIES_KEPT = 500_000
"""In all selectors together: about 30 bytes each."""
_SELECTORS_KEPT = 2_048
_NAMED_KEPT = 50_000
"""Labels are objects: as many as the index itself keeps."""


@dataclass(frozen=True, slots=True, eq=False)
class Seated:
    """Series on one grid: their rows and ids [k]."""

    interval_ms: int
    rows: Int64
    ids: Int64
    blocks: tuple[tuple[int, Int64, Int64], ...]
    """Block by block: its number, rows inside it, ids."""


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """What some matchers find: slots and ids [k] in the order of the index."""

    slots: Int64
    moves: int
    ids: Int64
    wanted: Int64
    """The ids, ascending."""
    placed: tuple[Seated, ...]
    labels: dict[tuple[str, ...] | None, tuple[Labels, ...]] = field(default_factory=dict)
    """By the labels that were asked for; None = all of them."""


class Seating:
    """The seats of the last selectors. Not thread-safe; the head's lock protects it."""

    def __init__(self) -> None:
        self._known: dict[tuple[Matcher, ...], Seats] = {}
        self._series = self._named = 0

    def of(self, matchers: Sequence[Matcher], index: Index, row_of: Int64, interval_of: Int64, moves: int) -> Seats:
        """`row_of` and `interval_of` are by slot; `moves` counts how often they changed."""
        key, slots = tuple(matchers), index.match(matchers)
        seats = self._known.get(key)
        # The index answers with the same array until a series appears or leaves.
        if seats is not None and seats.slots is slots and seats.moves == moves:
            return seats
        if seats is None and (self._series + len(slots) > _SERIES_KEPT or len(self._known) >= _SELECTORS_KEPT):
            self._known.clear()
            self._series = self._named = 0
        self._series += len(slots) - (0 if seats is None else len(seats.slots))
        seats = self._known[key] = _seats(index, slots, row_of[slots], interval_of[slots], moves)
        return seats

    def labels(self, seats: Seats, index: Index, by: tuple[str, ...] | None) -> tuple[Labels, ...]:
        """All labels of the series, or `by` these alone."""
        known = seats.labels.get(by)
        if known is not None:
            return known
        made = index.labels(seats.slots) if by is None else index.labels_by(seats.slots, by)
        if by is None:
            if len(made) > _NAMED_KEPT:
                return made
            if self._named + len(made) > _NAMED_KEPT:
                for each in self._known.values():
                    each.labels.pop(None, None)
                self._named = 0
            self._named += len(made)
        seats.labels[by] = made
        return made


def _seats(index: Index, slots: Int64, rows: Int64, intervals: Int64, moves: int) -> Seats:
    ids = index.ids[slots].astype(np.int64)
    placed = []
    for interval in np.unique(intervals[rows >= 0]).tolist():
        mine = (rows >= 0) & (intervals == interval)
        # The very array of all ids where all stand here: whoever names them then need not look for them.
        own_rows, own_ids = (rows, ids) if mine.all() else (rows[mine], ids[mine])
        placed.append(Seated(interval, own_rows, own_ids, tuple(_by_block(own_rows, own_ids))))
    ascending = bool((ids[1:] > ids[:-1]).all())
    return Seats(slots, moves, ids, ids if ascending else np.sort(ids), tuple(placed))


def _by_block(rows: Int64, ids: Int64) -> list[tuple[int, Int64, Int64]]:
    blocks = rows // BLOCK_ROWS
    order = np.argsort(blocks, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1)
    return [(int(blocks[part[0]]), rows[part] % BLOCK_ROWS, ids[part]) for part in parts if len(part)]
