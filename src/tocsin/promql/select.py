"""What a store answers -> values at instants, and windows over samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64, Selection, SeriesGroup, is_absent, is_stale
from tocsin.promql.frame import Frame, concatenate
from tocsin.promql.window import Windows

_BLOCK_ROWS = 256
"""Rows per kernel call at least: temporaries stay in the processor's cache, and a stop is noticed between blocks."""
_BLOCK_CELLS = 32_768
"""Short rows come in larger blocks, so many cells in one: a kernel's call costs as much as hundreds of them."""
_FEW_INSTANTS = 4
_SMALL_GROUP = 8
"""Groups of up to this many series are laid end to end and handled together."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a selection with their windows; `rows` are positions in `labels`."""

    rows: Int64
    windows: Windows


def instants(selection: Selection, at_ms: Int64, lookback_ms: int) -> tuple[Frame, Float64]:
    """The newest sample in (t - lookback, t] of each series at each instant, and when it was taken (seconds).

    at_ms [s] -> Frame [k, s], float64 [k, s]. A staleness marker ends a series: nothing there.
    """
    frames, taken = [], []
    small = [group for group in selection.groups if len(group.labels) <= _SMALL_GROUP]
    large = [group for group in selection.groups if len(group.labels) > _SMALL_GROUP]
    if len(small) > 1:
        frame, when = _instants_of_many(small, at_ms, lookback_ms)
        frames.append(frame)
        taken.append(when)
    else:
        large += small
    for group in large:
        frame, when = _instants_of_group(group, at_ms, lookback_ms)
        frames.append(frame)
        taken.append(when)
    if not frames:
        return concatenate([], at_ms.size), np.empty((0, at_ms.size))
    return concatenate(frames, at_ms.size), np.concatenate([when for when in taken if len(when)] or taken[:1])


def _instants_of_group(group: SeriesGroup, at_ms: Int64, lookback_ms: int) -> tuple[Frame, Float64]:
    shape = (len(group.labels), at_ms.size)
    if not group.t_ms.size:
        return Frame(group.labels, np.zeros(shape), np.zeros(shape, bool)), np.zeros(shape)
    column = np.searchsorted(group.t_ms, at_ms, "right") - 1
    found = column >= 0
    column = np.maximum(column, 0)
    if np.isnan(group.values).any() and (holes := is_absent(group.values)).any():
        filled = np.maximum.accumulate(np.where(holes, -1, np.arange(group.t_ms.size)), axis=1)
        index = filled[:, column]
        found = found & (index >= 0)
        index = np.maximum(index, 0)
        values = np.take_along_axis(group.values, index, axis=1)
        when = group.t_ms[index]
    else:
        values = _columns(group.values, column)
        when = group.t_ms[column]
    present = np.broadcast_to(found & (when > at_ms - lookback_ms), shape)
    if np.isnan(values).any():
        present = present & ~is_stale(np.ascontiguousarray(values))
    full = bool(present.all())
    return Frame(group.labels, values, None if full else present), np.broadcast_to(when / 1000, shape)


def _columns(values: Float64, column: Int64) -> Float64:
    """These columns (ascending). A grid that is asked at its own instants needs no copy."""
    first, last = int(column[0]), int(column[-1])
    if last - first == column.size - 1 and (np.diff(column) == 1).all():
        return values[:, first : last + 1]
    return np.ascontiguousarray(values[:, column])


def _instants_of_many(groups: Sequence[SeriesGroup], at_ms: Int64, lookback_ms: int) -> tuple[Frame, Float64]:
    """Series on their own timestamps, laid end to end."""
    flat = _lay_out(groups, keep_stale=True)
    hi = flat.search(at_ms)
    lo = flat.search(at_ms - lookback_ms)
    present = hi > lo
    if not flat.values.size:
        return Frame(flat.labels, np.zeros(hi.shape), present), np.zeros(hi.shape)
    index = np.maximum(hi - 1, 0)
    values = flat.values[index]
    if np.isnan(values).any():
        present &= ~is_stale(values)
    return Frame(flat.labels, values, None if present.all() else present), flat.t_ms[index] / 1000


def windows(selection: Selection, end_ms: Int64, range_ms: int) -> tuple[tuple[Labels, ...], Iterator[Piece]]:
    """Labels of all series, and their windows (end - range, end] in pieces of at most a few hundred rows."""
    small = [group for group in selection.groups if len(group.labels) <= _SMALL_GROUP]
    large = [group for group in selection.groups if len(group.labels) > _SMALL_GROUP]
    if len(small) == 1:
        large, small = large + small, []
    labels = (
        large[0].labels if len(large) == 1 and not small else tuple([each for group in large + small for each in group.labels])
    )
    return labels, _pieces(large, small, end_ms, range_ms)


def _pieces(large: Sequence[SeriesGroup], small: Sequence[SeriesGroup], end_ms: Int64, range_ms: int) -> Iterator[Piece]:
    offset = 0
    for group in large:
        block = max(_BLOCK_ROWS, _BLOCK_CELLS // max(group.t_ms.size, end_ms.size, 1))
        for start in range(0, len(group.labels), block):
            part = SeriesGroup(group.labels[start : start + block], group.t_ms, group.values[start : start + block])
            yield from _windows_of_group(part, offset + start, end_ms, range_ms)
        offset += len(group.labels)
    for start in range(0, len(small), _BLOCK_ROWS):
        flat = _lay_out(small[start : start + _BLOCK_ROWS])
        rows = np.arange(offset, offset + len(flat.labels))
        yield Piece(rows, flat.windows(end_ms, range_ms))
        offset += len(flat.labels)


def _windows_of_group(group: SeriesGroup, offset: int, end_ms: Int64, range_ms: int) -> Iterator[Piece]:
    """Rows without holes share one grid; the others are laid end to end without their holes."""
    rows = np.arange(offset, offset + len(group.labels))
    missing = _missing(group.values) if np.isnan(group.values).any() else None
    if missing is None or not missing.any():
        yield Piece(rows, _shared(group.values, group.t_ms, end_ms, range_ms))
        return
    somewhere = ~missing.all(axis=0)
    values, t_ms, missing = group.values[:, somewhere], group.t_ms[somewhere], missing[:, somewhere]
    whole = ~missing.any(axis=1)
    if whole.any():
        yield Piece(rows[whole], _shared(values[whole], t_ms, end_ms, range_ms))
    if not whole.all():
        holed = ~whole
        yield Piece(rows[holed], _without_holes(values[holed], missing[holed], t_ms, end_ms, range_ms))


def _missing(values: Float64) -> Bool:
    return is_absent(values) | is_stale(values)


def _shared(values: Float64, t_ms: Int64, end_ms: Int64, range_ms: int) -> Windows:
    lo = np.searchsorted(t_ms, end_ms - range_ms, "right")
    hi = np.searchsorted(t_ms, end_ms, "right")
    first, last = int(lo.min()), int(hi.max())
    # Kernels take columns again and again, and numpy copies a strided array whole for each take.
    values, t_ms = np.ascontiguousarray(values[:, first:last]), t_ms[first:last]
    return Windows(_padded(values), _padded(t_ms), lo - first, hi - first, end_ms, range_ms)


def _padded(array: Any) -> Any:
    """At least one column, so that kernels may index even when every window is empty."""
    if array.shape[-1]:
        return array
    return np.zeros((*array.shape[:-1], 1), array.dtype)


def _without_holes(values: Float64, missing: Bool, t_ms: Int64, end_ms: Int64, range_ms: int) -> Windows:
    """Windows of rows with holes: counting real samples turns column numbers into positions in the flat layout."""
    real = ~missing
    running = np.zeros((len(values), t_ms.size + 1), np.int64)
    np.cumsum(real, axis=1, out=running[:, 1:])
    starts = np.concatenate([[0], np.cumsum(running[:, -1])[:-1]])[:, None]
    lo = np.searchsorted(t_ms, end_ms - range_ms, "right")
    hi = np.searchsorted(t_ms, end_ms, "right")
    flat_t = np.broadcast_to(t_ms, values.shape)[real]
    return Windows(_padded(values[real]), _padded(flat_t), starts + running[:, lo], starts + running[:, hi], end_ms, range_ms)


@dataclass(frozen=True, slots=True)
class _Flat:
    """Series end to end: values and t_ms [n], series i at [starts[i], starts[i + 1])."""

    labels: tuple[Labels, ...]
    values: Float64
    t_ms: Int64
    starts: Int64

    def search(self, at_ms: Int64) -> Int64:
        """Position behind the last sample at or before each instant, [k, s], inside each series."""
        if at_ms.size <= _FEW_INSTANTS and self.t_ms.size:
            # One search for all: each series is moved behind the one before it.
            first, last = int(self.t_ms.min()) - 1, int(self.t_ms.max()) + 1
            behind = np.arange(len(self.labels)) * (last - first + 1) - first
            at_ms = np.clip(at_ms, first, last)
            found: Int64 = np.searchsorted(self.t_ms + np.repeat(behind, np.diff(self.starts)), behind[:, None] + at_ms, "right")
            return found
        out = np.empty((len(self.labels), at_ms.size), np.int64)
        bounds = self.starts.tolist()
        for row, (start, end) in enumerate(pairwise(bounds)):
            out[row] = self.t_ms[start:end].searchsorted(at_ms, "right")
        out += self.starts[:-1, None]
        return out

    def windows(self, end_ms: Int64, range_ms: int) -> Windows:
        lo, hi = self.search(end_ms - range_ms), self.search(end_ms)
        return Windows(_padded(self.values), _padded(self.t_ms), lo, hi, end_ms, range_ms)


def _lay_out(groups: Sequence[SeriesGroup], *, keep_stale: bool = False) -> _Flat:
    labels = tuple([each for group in groups for each in group.labels])
    values = np.concatenate([group.values.ravel() for group in groups])
    t_ms = np.concatenate([group.t_ms if len(group.labels) == 1 else np.tile(group.t_ms, len(group.labels)) for group in groups])
    counts = np.repeat([group.t_ms.size for group in groups], [len(group.labels) for group in groups])
    starts = np.concatenate([[0], np.cumsum(counts)])
    if np.isnan(values).any():
        real = ~is_absent(values) if keep_stale else ~_missing(values)
        values, t_ms = values[real], t_ms[real]
        starts = np.concatenate([[0], np.cumsum(real)])[starts]
    return _Flat(labels, values, t_ms, starts)
