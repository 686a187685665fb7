"""Series at times of their own, end to end: where each of them stands at many instants, without a loop over series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tocsin.model.series import Bool, Int64, Ragged, SeriesGroup, is_absent, is_stale

_FEW_INSTANTS = 4
_FEW_SERIES = 4


def lay_out(groups: Sequence[SeriesGroup]) -> Ragged:
    """Groups end to end, without their absent cells."""
    labels = tuple([each for group in groups for each in group.labels])
    values = np.concatenate([group.values.ravel() for group in groups])
    t_ms = np.concatenate([group.t_ms if len(group.labels) == 1 else np.tile(group.t_ms, len(group.labels)) for group in groups])
    starts = np.zeros(len(labels) + 1, np.int64)
    np.cumsum(np.repeat([group.t_ms.size for group in groups], [len(group.labels) for group in groups]), out=starts[1:])
    flat = Ragged(labels, starts, t_ms, values)
    return kept(flat, ~is_absent(values)) if np.isnan(values).any() else flat


def without_stale(flat: Ragged) -> Ragged:
    """Without staleness markers, which no window sees."""
    return kept(flat, ~is_stale(flat.values)) if np.isnan(flat.values).any() else flat


def kept(flat: Ragged, real: Bool) -> Ragged:
    """Only the samples [n] that are `real`."""
    if real.all():
        return flat
    running = np.zeros(real.size + 1, np.int64)
    np.cumsum(real, out=running[1:])
    return Ragged(flat.labels, running[flat.starts], flat.t_ms[real], flat.values[real])


def edges(flat: Ragged, end_ms: Int64, range_ms: int) -> tuple[Int64, Int64]:
    """Where the windows (end - range, end] begin and end, each [k, s]."""
    steps = end_ms.size
    step_ms = int(end_ms[1] - end_ms[0]) if steps > 1 else 0
    ahead = range_ms // step_ms if step_ms > 0 and range_ms % step_ms == 0 else steps
    if ahead < steps and (np.diff(end_ms) == step_ms).all():
        # A window begins where an earlier one ends: all edges stand in one row of instants.
        both = behind(flat, np.concatenate([end_ms[:ahead] - range_ms, end_ms]))
        return both[:, :steps], both[:, ahead:]
    return behind(flat, end_ms - range_ms), behind(flat, end_ms)


def behind(flat: Ragged, at_ms: Int64) -> Int64:
    """Position behind the last sample at or before each instant (ascending [s]), [k, s], inside each series."""
    if len(flat.labels) <= _FEW_SERIES:
        return _by_series(flat, at_ms)
    if at_ms.size <= _FEW_INSTANTS:
        return _bisected(flat, at_ms)
    return _counted(flat, at_ms)


def _by_series(flat: Ragged, at_ms: Int64) -> Int64:
    out = np.empty((len(flat.labels), at_ms.size), np.int64)
    bounds = flat.starts.tolist()
    for row, start in enumerate(bounds[:-1]):
        np.add(flat.t_ms[start : bounds[row + 1]].searchsorted(at_ms, "right"), start, out=out[row])
    return out


def _bisected(flat: Ragged, at_ms: Int64) -> Int64:
    """All series halve what is left to look at together."""
    shape = (len(flat.labels), at_ms.size)
    left, right = np.broadcast_to(flat.starts[:-1, None], shape), np.broadcast_to(flat.starts[1:, None], shape)
    last = max(flat.t_ms.size - 1, 0)
    while (open_ := left < right).any():
        middle = (left + right) >> 1
        early = open_ & (flat.t_ms[np.minimum(middle, last)] <= at_ms)
        left, right = np.where(early, middle + 1, left), np.where(early, right, np.minimum(middle, right))
    return np.asarray(left)


def _counted(flat: Ragged, at_ms: Int64) -> Int64:
    """Each sample is counted at the first instant that sees it; running sums of the counts are the positions."""
    series, instants = len(flat.labels), at_ms.size
    cell = _first_to_see(flat.t_ms, at_ms)
    cell += np.repeat(np.arange(0, series * (instants + 1), instants + 1), np.diff(flat.starts))
    seen = np.bincount(cell, minlength=series * (instants + 1)).reshape(series, instants + 1)[:, :-1]
    out = np.cumsum(seen, axis=1)
    out += flat.starts[:-1, None]
    return out


def _first_to_see(t_ms: Int64, at_ms: Int64) -> Int64:
    """Number of the first instant at or after each sample, [n]; as many as there are instants when there is none."""
    first, last = int(at_ms[0]), int(at_ms[-1])
    step = (last - first) // (at_ms.size - 1)
    if step <= 0 or (np.diff(at_ms) != step).any():
        return np.searchsorted(at_ms, t_ms, "left")
    number = (t_ms + (step - 1 - first)) // step
    return np.clip(number, 0, at_ms.size, out=number)
