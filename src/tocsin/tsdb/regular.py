"""Loose samples that are evenly spaced after all become matrices.

What is pushed (remote write, backfill) comes sample by sample, but a sender that scrapes every 15 s sends samples that lie 15 s
apart, at the same instants for all series of a target. Seen so, a query reads columns instead of sorting samples, and a block
stores them like scraped ones. Nothing is rounded: a series with one sample beside its grid stays loose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.model.series import Bool, Float64, Int64, absent
from tocsin.tsdb.piece import GridPiece

LEAST_SERIES = 8
"""Fewer series on a grid cost more as a matrix of their own than one by one."""
_SURE = 4
"""Samples from which a series tells its own interval; with fewer it takes the one that most series of the others have."""
_CELLS_PER_SAMPLE = 4
_LONGEST_MS = 1 << 31
_NONE_MS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class _Rows:
    """One row per series: where its samples begin, how many there are, and its grid (interval 0 = none)."""

    starts: Int64
    counts: Int64
    interval_ms: Int64
    offset_ms: Int64


def on_grids(ids: Int64, t_ms: Int64, values: Float64) -> tuple[list[GridPiece], Bool]:
    """Matrices of the samples that lie on a grid which several series share, and which samples [n] those are.

    ids, t_ms, values [n], series by series, each in the order of time without repetition. O(n).
    """
    taken = np.zeros(len(ids), np.bool_)
    if len(ids) < 2 * LEAST_SERIES:
        return [], taken
    rows = _rows(ids, t_ms)
    pieces = []
    for members in _shared(rows):
        piece, places = _matrix(rows, members, ids, t_ms, values)
        if piece is not None:
            pieces.append(piece)
            taken[places] = True
    return pieces, taken


def worth_a_look(begins: Int64, ends: Int64, t_ms: Int64) -> bool:
    """Whether some series may share a grid, as their first samples go: a look that costs next to nothing.

    Series i has the samples begins[i] <= j < ends[i] of t_ms [n].
    """
    several = ends - begins > 1
    begin, last = begins[several], ends[several] - 1
    if len(begin) < LEAST_SERIES:
        return False
    interval = t_ms[begin + 1] - t_ms[begin]
    for step in range(1, _SURE - 1):
        later = np.minimum(begin + step + 1, last)
        gap = t_ms[later] - t_ms[later - 1]
        interval = np.minimum(interval, gap)
    even = interval < _LONGEST_MS
    _, often = np.unique(interval[even] << 31 | t_ms[begin][even] % interval[even], return_counts=True)
    return bool(often.max(initial=0) >= LEAST_SERIES)


def _rows(ids: Int64, t_ms: Int64) -> _Rows:
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    ends = np.append(starts[1:], len(ids))
    counts = ends - starts
    steps = np.append(np.diff(t_ms), _NONE_MS)
    steps[ends - 1] = _NONE_MS
    shortest = np.minimum.reduceat(steps, starts)
    several = counts > 1
    if not several.any():
        return _Rows(starts, counts, np.zeros_like(starts), np.zeros_like(starts))
    known, often = np.unique(shortest[several], return_counts=True)
    interval = np.where(counts < _SURE, known[often.argmax()], shortest)
    interval[(interval <= 0) | (interval >= _LONGEST_MS) | ~several] = 0
    first, last = t_ms[starts], t_ms[ends - 1]
    divisor = np.maximum(interval, 1)
    even = steps % np.repeat(divisor, counts) == 0
    even[ends - 1] = True
    # Half of the cells may be empty: a target that was down, not a series that comes now and then.
    dense = (last - first) // divisor < 2 * counts
    interval[~(np.logical_and.reduceat(even, starts) & dense)] = 0
    return _Rows(starts, counts, interval, first % divisor)


def _shared(rows: _Rows) -> Iterator[Int64]:
    """The rows of each grid that enough of them share."""
    even = np.flatnonzero(rows.interval_ms)
    if len(even) < LEAST_SERIES:
        return
    key = rows.interval_ms[even] << 31 | rows.offset_ms[even]
    order = np.argsort(key, kind="stable")
    edges = np.flatnonzero(np.diff(key[order])) + 1
    for left, right in zip([0, *edges.tolist()], [*edges.tolist(), len(order)], strict=True):
        if right - left >= LEAST_SERIES:
            yield even[order[left:right]]


def _matrix(rows: _Rows, members: Int64, ids: Int64, t_ms: Int64, values: Float64) -> tuple[GridPiece | None, Int64]:
    """The matrix of these rows, ids ascending, and the places of its samples; None when it would be mostly empty."""
    interval, offset = int(rows.interval_ms[members[0]]), int(rows.offset_ms[members[0]])
    owners = ids[rows.starts[members]]
    if (owners[1:] < owners[:-1]).any():
        members = members[np.argsort(owners)]
    starts, counts = rows.starts[members], rows.counts[members]
    places = spans(starts, starts + counts)
    numbers = t_ms[places] // interval
    low, high = int(numbers.min()), int(numbers.max())
    width = high - low + 1
    cells = len(members) * width
    if cells > _CELLS_PER_SAMPLE * len(places):
        return None, places
    if cells == len(places):
        matrix = values[places].reshape(len(members), width)
    else:
        matrix = absent((len(members), width))
        matrix[np.repeat(np.arange(len(members)), counts), numbers - low] = values[places]
    matrix.flags.writeable = False  # kept, and shared by all who read it
    return GridPiece(interval, offset, low, ids[rows.starts[members]], matrix), places


def spans(left: Int64, right: Int64) -> Int64:
    """All numbers of the half-open ranges [left, right), joined."""
    counts = right - left
    total = int(counts.sum())
    if not total:
        return np.empty(0, np.int64)
    ends = np.cumsum(counts)
    joined: Int64 = np.arange(total) + np.repeat(left - (ends - counts), counts)
    return joined
