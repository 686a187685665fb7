"""What a store answers -> values at instants, and windows over samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64, Ragged, Selection, SeriesGroup, is_absent, is_stale, some_nan
from tocsin.promql.frame import Frame, concatenate
from tocsin.promql.ragged import behind, edges, lay_out, without_stale
from tocsin.promql.window import Windows

_BLOCK_ROWS = 256
"""Rows per kernel call at least: temporaries stay in the processor's cache, and a stop is noticed between blocks."""
_BLOCK_CELLS = 32_768
"""Short rows come in larger blocks, so many cells in one: a kernel's call costs as much as hundreds of them."""
_MANY_STEPS = 32
"""From so many on it is worth a look which of them see a sample at all."""
_SMALL_GROUP = 8
"""Groups of up to this many series are laid end to end and handled together."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a selection with their windows; `rows` are positions in `labels`."""

    rows: Int64 | slice
    windows: Windows


def seeing(selection: Selection, at_ms: Int64, back_ms: int) -> slice:
    """The steps at_ms [s] (ascending) that a sample of these series may lie behind, at most `back_ms`.

    Of a store that is younger than what is asked for, or of series that ended, most steps see nothing.
    """
    if at_ms.size < _MANY_STEPS:
        return slice(0, at_ms.size)
    times = [group.t_ms for group in selection.shared] + ([] if selection.ragged is None else [selection.ragged.t_ms])
    first = min((int(each.min()) for each in times if each.size), default=0)
    last = max((int(each.max()) for each in times if each.size), default=0)
    return slice(*np.searchsorted(at_ms, [first, last + back_ms]).tolist())


def widened(cells: Any, seen: slice, steps: int) -> Any:
    """Cells [k, n] of the steps `seen` among all of them, [k, steps]; zero elsewhere. Rows that are one stay one."""
    if cells.shape[1] == steps:
        return cells
    one = cells.shape[0] > 1 and cells.strides[0] == 0
    out = np.zeros((1 if one else cells.shape[0], steps), cells.dtype)
    out[:, seen] = cells[:1] if one else cells
    return np.broadcast_to(out, (cells.shape[0], steps))


def instants(selection: Selection, at_ms: Int64, lookback_ms: int) -> tuple[Frame, Int64]:
    """The newest sample in (t - lookback, t] of each series at each instant, and when it was taken (ms).

    at_ms [s] -> Frame [k, s], int64 [k, s]. A staleness marker ends a series: nothing there.
    """
    large, ragged = _by_layout(selection)
    found = [_instants_of_group(group, at_ms, lookback_ms) for group in large]
    for flat in ragged:
        found += [_instants_of_ragged(some, at_ms, lookback_ms) for some in _some_rows(flat, at_ms.size)]
    if not found:
        return concatenate([], at_ms.size), np.empty((0, at_ms.size), np.int64)
    if len(found) == 1:
        return found[0]
    return concatenate([frame for frame, _ in found], at_ms.size), np.concatenate([when for _, when in found])


def _by_layout(selection: Selection) -> tuple[list[SeriesGroup], list[Ragged]]:
    """Groups that are worth a kernel call of their own, and all others end to end."""
    shared, ragged = selection.shared, [] if selection.ragged is None else [selection.ragged]
    if len(shared) <= 1:
        return list(shared), ragged
    large = [group for group in shared if len(group.labels) > _SMALL_GROUP]
    small = [group for group in shared if len(group.labels) <= _SMALL_GROUP]
    if len(small) == 1:
        return [*large, *small], ragged
    return large, [lay_out(small), *ragged] if small else ragged


def _instants_of_group(group: SeriesGroup, at_ms: Int64, lookback_ms: int) -> tuple[Frame, Int64]:
    shape = (len(group.labels), at_ms.size)
    if not group.t_ms.size:
        return Frame(group.labels, np.zeros(shape), np.zeros(shape, bool)), np.zeros(shape, np.int64)
    if at_ms.size == 1 and (column := int(group.t_ms.searchsorted(at_ms[0], "right")) - 1) >= 0:
        values = group.values[:, column : column + 1]
        if not np.isnan(values).any():  # no hole to look behind, no marker
            when = group.t_ms[column : column + 1]
            recent = int(when[0]) > int(at_ms[0]) - lookback_ms
            return Frame(group.labels, values, None if recent else np.zeros(shape, bool)), np.broadcast_to(when, shape)
    return _instants_of_holed(group, at_ms, lookback_ms)


def _instants_of_holed(group: SeriesGroup, at_ms: Int64, lookback_ms: int) -> tuple[Frame, Int64]:
    shape = (len(group.labels), at_ms.size)
    column = np.searchsorted(group.t_ms, at_ms, "right") - 1
    found = column >= 0
    column = np.maximum(column, 0)
    doubtful = some_nan(group.values)
    if doubtful and (holes := is_absent(group.values)).any():
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
    if doubtful and np.isnan(values).any():
        present = present & ~is_stale(np.ascontiguousarray(values))
    full = bool(present.all())
    return Frame(group.labels, values, None if full else present), np.broadcast_to(when, shape)


def _columns(values: Float64, column: Int64) -> Float64:
    """These columns (ascending). A grid that is asked at its own instants needs no copy."""
    first, last = int(column[0]), int(column[-1])
    if last - first == column.size - 1 and (np.diff(column) == 1).all():
        return values[:, first : last + 1]
    return np.ascontiguousarray(values[:, column])


def _instants_of_ragged(flat: Ragged, at_ms: Int64, lookback_ms: int) -> tuple[Frame, Int64]:
    position = behind(flat, at_ms)
    if not flat.values.size:
        return Frame(flat.labels, np.zeros(position.shape), np.zeros(position.shape, bool)), np.zeros_like(position)
    found = position > flat.starts[:-1, None]
    position -= 1
    np.maximum(position, 0, out=position)
    values, when = flat.values[position], flat.t_ms[position]
    found &= when > at_ms - lookback_ms
    if np.isnan(flat.values).any():
        found &= ~is_stale(values)
    return Frame(flat.labels, values, None if found.all() else found), when


def windows(selection: Selection, end_ms: Int64, range_ms: int) -> tuple[tuple[Labels, ...], Iterator[Piece]]:
    """Labels of all series, and their windows (end - range, end] in pieces of at most a few hundred rows."""
    large, ragged = _by_layout(selection)
    parts = [group.labels for group in large] + [flat.labels for flat in ragged]
    labels = parts[0] if len(parts) == 1 else tuple([each for part in parts for each in part])
    return labels, _pieces(large, ragged, end_ms, range_ms)


def _pieces(large: Sequence[SeriesGroup], ragged: Sequence[Ragged], end_ms: Int64, range_ms: int) -> Iterator[Piece]:
    offset = 0
    for group in large:
        block = max(_BLOCK_ROWS, _BLOCK_CELLS // max(group.t_ms.size, end_ms.size, 1))
        for start in range(0, len(group.labels), block):
            part = SeriesGroup(group.labels[start : start + block], group.t_ms, group.values[start : start + block])
            yield from _windows_of_group(part, offset + start, end_ms, range_ms)
        offset += len(group.labels)
    for flat in ragged:
        for some in _some_rows(flat, end_ms.size):
            real = without_stale(some)
            lo, hi = edges(real, end_ms, range_ms)
            rows = slice(offset, offset + len(real.labels))
            yield Piece(rows, Windows(_padded(real.values), _padded(real.t_ms), lo, hi, end_ms, range_ms, real.starts[:-1]))
            offset += len(real.labels)


def _some_rows(flat: Ragged, steps: int) -> Iterator[Ragged]:
    """As many series at a time as a kernel likes."""
    samples = flat.t_ms.size // max(len(flat.labels), 1)
    rows = max(1, _BLOCK_CELLS // max(steps, samples, 1))
    for start in range(0, len(flat.labels), rows):
        yield flat.part(start, min(start + rows, len(flat.labels)))


def _windows_of_group(group: SeriesGroup, offset: int, end_ms: Int64, range_ms: int) -> Iterator[Piece]:
    """Rows without holes share one grid; the others are laid end to end without their holes."""
    missing = _missing(group.values) if some_nan(group.values) else None
    if missing is None or not missing.any():
        yield Piece(slice(offset, offset + len(group.labels)), _shared(group.values, group.t_ms, end_ms, range_ms))
        return
    rows = np.arange(offset, offset + len(group.labels))
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
    starts = np.concatenate([[0], np.cumsum(running[:, -1])[:-1]])
    lo = np.searchsorted(t_ms, end_ms - range_ms, "right")
    hi = np.searchsorted(t_ms, end_ms, "right")
    flat_t = np.broadcast_to(t_ms, values.shape)[real]
    lo, hi = starts[:, None] + running[:, lo], starts[:, None] + running[:, hi]
    return Windows(_padded(values[real]), _padded(flat_t), lo, hi, end_ms, range_ms, starts)
