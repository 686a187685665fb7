"""rate, increase, delta and their instant variants."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from tocsin.model.series import Bool, Float64
from tocsin.promql.function import Call, Cells, function
from tocsin.promql.sums import PrefixSums
from tocsin.promql.window import Windows


@function("rate")
def rate(call: Call, series: Windows) -> Cells:
    """Per-second increase of counters over the window, corrected for resets, extrapolated to the window's edges."""
    return extrapolated(series, counter=True, per_second=True)


@function("increase")
def increase(call: Call, series: Windows) -> Cells:
    """Increase of counters over the window, corrected for resets, extrapolated to the window's edges."""
    return extrapolated(series, counter=True, per_second=False)


@function("delta")
def delta(call: Call, series: Windows) -> Cells:
    """Difference between the last and the first value of gauges, extrapolated to the window's edges."""
    return extrapolated(series, counter=False, per_second=False)


@function("irate")
def irate(call: Call, series: Windows) -> Cells:
    """Per-second increase between the last two samples of counters."""
    return _last_two(series, counter=True)


@function("idelta")
def idelta(call: Call, series: Windows) -> Cells:
    """Difference between the last two samples of gauges."""
    return _last_two(series, counter=False)


def extrapolated(windows: Windows, *, counter: bool, per_second: bool) -> Cells:
    """Change over each window [k, s], absent where it has fewer than two samples.

    Goes to a window edge when the nearest sample is within 1.1 mean spacings of it, else half a spacing beyond the
    sample; a counter never below zero. Source: Prometheus `extrapolatedRate`.
    """
    enough = windows.count >= 2
    first, last = windows.first, windows.last
    at_first = windows.read_at(first)
    with np.errstate(all="ignore"):
        change = windows.read_at(last) - at_first
        if counter:
            change = _with_resets(windows, change)
        first_ms, last_ms = windows.times(first), windows.times(last)
        sampled = (last_ms - first_ms) / 1000
        spacing = sampled / (windows.count - 1)
        to_start = (first_ms - (windows.end_ms - windows.range_ms)) / 1000
        to_end = (windows.end_ms - last_ms) / 1000
        to_start = np.where(to_start >= spacing * 1.1, spacing / 2, to_start)
        to_end = np.where(to_end >= spacing * 1.1, spacing / 2, to_end)
        if counter:
            to_zero = at_first / change
            to_zero *= sampled
            limited = to_zero < to_start
            if limited.any():
                limited &= (change > 0) & (at_first >= 0)
                to_start = np.where(limited, to_zero, to_start)
        factor = (sampled + to_start + to_end) / sampled
        if per_second:
            factor = factor / (windows.range_ms / 1000)
        change *= factor
    return change, enough


def _with_resets(windows: Windows, change: Float64) -> Float64:
    """Adds the value before each reset inside a window. A NaN is never a reset."""
    fell = _fallen(windows.values)
    if windows.ragged or not len(fell):
        if windows.starts is not None:  # the end of one series beside the beginning of the next
            fell[windows.starts[windows.starts < fell.size]] = False
        return _with_many_resets(windows, change, fell) if fell.any() else change
    count = fell.sum(axis=1) if fell.any() else np.zeros(len(fell), np.int64)
    once, often = np.flatnonzero(count == 1), np.flatnonzero(count > 1)
    if once.size:
        # One addition, as Prometheus makes it: nothing to be careful about.
        column = fell[once].argmax(axis=1)
        inside = (windows.lo < column[:, None]) & (column[:, None] < windows.hi)
        change[once] += np.where(inside, windows.values[once, column - 1][:, None], 0.0)
    if often.size:
        change[often] = _with_many_resets(replace(windows, values=windows.values[often]), change[often], fell[often])
    return change


def _fallen(values: Float64) -> Bool:
    """Where a value is less than the one before it, in the shape of `values`."""
    fell = np.zeros(values.shape, bool)
    if values.ndim > 1 and values.flags.c_contiguous:
        # All rows in one go, which short rows are too short for by themselves.
        np.less(values.ravel()[1:], values.ravel()[:-1], out=fell.ravel()[1:])
        fell[:, 0] = False
    else:
        np.less(values[..., 1:], values[..., :-1], out=fell[..., 1:])
    return fell


def _with_many_resets(windows: Windows, change: Float64, fell: Bool) -> Float64:
    values = windows.values
    lost = np.zeros(values.shape)
    np.copyto(lost[..., 1:], values[..., :-1], where=fell[..., 1:])
    infinite = np.isinf(lost)
    prefix = PrefixSums(np.where(infinite, 0.0, lost))
    begin = np.minimum(windows.lo + 1, windows.hi)
    correction = prefix.between(begin, windows.hi)
    doubtful = prefix.error() > 1e-13 * np.abs(change + correction)
    if infinite.any() or doubtful.any():
        resets = np.cumsum(fell, axis=-1)
        doubtful = (doubtful | infinite.any()) & (windows.count >= 2)
        doubtful = doubtful & (windows.at(resets, windows.last) != windows.at(resets, windows.first))
    total = np.asarray(change + correction)
    for row, step in np.argwhere(doubtful).tolist():
        total[row, step] = _in_order(windows.cell(row, step)[0].tolist())
    return total


def _in_order(window: list[float]) -> float:
    """As Prometheus adds it: where values cancel each other, the order of plain additions is the answer."""
    total = window[-1] - window[0]
    for before, after in pairwise(window):
        if after < before:
            total += before
    return total


def _last_two(windows: Windows, *, counter: bool) -> Cells:
    last = windows.last
    before = windows.clipped(last - 1)
    enough = windows.count >= 2
    newest = windows.at(windows.values, last)
    previous = windows.at(windows.values, before)
    with np.errstate(all="ignore"):
        change = newest - previous
        if counter:
            change = np.where(newest < previous, newest, change)
            change /= (windows.times(last) - windows.times(before)) / 1000
    return change, enough
