"""Aggregations over the samples of each window: `*_over_time`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tocsin.model.series import Bool, Float64, Int64
from tocsin.promql.function import EXPERIMENTAL, Call, Cells, Scalar, function
from tocsin.promql.quantile import quantiles
from tocsin.promql.sums import window_means, window_sums
from tocsin.promql.window import Windows

_BLOCK_CELLS = 2_000_000
"""Samples gathered at once where every window is laid out in full."""


@function("sum_over_time")
def sum_over_time(call: Call, series: Windows) -> Cells:
    """Sum of the values in the window."""
    return window_sums(series), None


@function("avg_over_time")
def avg_over_time(call: Call, series: Windows) -> Cells:
    """Mean of the values in the window."""
    return window_means(series), None


@function("count_over_time")
def count_over_time(call: Call, series: Windows) -> Cells:
    """Number of samples in the window."""
    return np.broadcast_to(series.count, series.shape).astype(np.float64), None


@function("last_over_time", keeps_name=True)
def last_over_time(call: Call, series: Windows) -> Cells:
    """The most recent value in the window. Keeps the metric's name."""
    return series.at(series.values, series.last), None


@function("present_over_time")
def present_over_time(call: Call, series: Windows) -> Cells:
    """1 where the window has any sample."""
    return np.ones(series.shape), None


@function("min_over_time")
def min_over_time(call: Call, series: Windows) -> Cells:
    """The smallest value in the window; NaN only if all are."""
    return _extreme(series, np.fmin), None


@function("max_over_time")
def max_over_time(call: Call, series: Windows) -> Cells:
    """The largest value in the window; NaN only if all are."""
    return _extreme(series, np.fmax), None


@function("stddev_over_time")
def stddev_over_time(call: Call, series: Windows) -> Cells:
    """Population standard deviation of the values in the window."""
    return np.sqrt(_variance(series)), None


@function("stdvar_over_time")
def stdvar_over_time(call: Call, series: Windows) -> Cells:
    """Population variance of the values in the window."""
    return _variance(series), None


@function("quantile_over_time")
def quantile_over_time(call: Call, quantile: Scalar, series: Windows) -> Cells:
    """The φ-quantile (0 <= φ <= 1) of the values in the window."""
    for q in np.unique(quantile):
        if not 0 <= q <= 1:
            call.notes.invalid_quantile(float(q), call.arg_span(0))
    return _each_window(series, lambda sorted_, count: quantiles(sorted_, count, quantile)), None


@function("mad_over_time", feature=EXPERIMENTAL)
def mad_over_time(call: Call, series: Windows) -> Cells:
    """Median absolute deviation of the values in the window."""
    half = np.full(series.end_ms.size, 0.5)

    def deviation(values: Float64, count: Int64) -> Float64:
        median = quantiles(values, count, half)
        with np.errstate(all="ignore"):
            distance = np.abs(values - median[..., None])
        return quantiles(distance, count, half)

    return _each_window(series, deviation), None


@function("ts_of_last_over_time", feature=EXPERIMENTAL)
def ts_of_last_over_time(call: Call, series: Windows) -> Cells:
    """Timestamp of the most recent sample in the window, in seconds."""
    return np.broadcast_to(series.times(series.last) / 1000, series.shape).copy(), None


@function("ts_of_max_over_time", feature=EXPERIMENTAL)
def ts_of_max_over_time(call: Call, series: Windows) -> Cells:
    """Timestamp of the last sample with the largest value in the window, in seconds."""
    return _time_of_extreme(series, np.greater_equal), None


@function("ts_of_min_over_time", feature=EXPERIMENTAL)
def ts_of_min_over_time(call: Call, series: Windows) -> Cells:
    """Timestamp of the last sample with the smallest value in the window, in seconds."""
    return _time_of_extreme(series, np.less_equal), None


def _extreme(windows: Windows, pick: Any) -> Float64:
    """Smallest or largest of each window by doubling tables: row j of level i covers samples [j, j + 2^i)."""
    level = windows.values
    size = level.shape[-1]
    count = np.broadcast_to(windows.count, windows.lo.shape)
    powers = np.frexp(np.maximum(count, 1))[1] - 1
    result = np.full(windows.shape, np.nan)
    for power in range(int(powers.max(initial=0)) + 1):
        width = 1 << power
        mine = (powers == power) & (count > 0)
        if mine.any():
            _pick_pairs(windows, level, mine, width, pick, result)
        if width < size:
            longer = level.copy()
            pick(level[..., :-width], level[..., width:], out=longer[..., :-width])
            level = longer
    return result


def _pick_pairs(windows: Windows, level: Float64, mine: Any, width: int, pick: Any, result: Float64) -> None:
    """Two overlapping spans of `width` samples cover each window of this size class."""
    if windows.ragged:
        result[mine] = pick(level[windows.lo[mine]], level[windows.hi[mine] - width])
    else:
        result[:, mine] = pick(level[:, windows.lo[mine]], level[:, windows.hi[mine] - width])


def _variance(windows: Windows) -> Float64:
    """Population variance: mean first, then squares of differences, corrected for what the mean's rounding left."""
    with np.errstate(all="ignore"):
        mean = window_means(windows)
        squares, rest = np.zeros(windows.shape), np.zeros(windows.shape)
        if (places := windows.laid_out(_BLOCK_CELLS)) is not None:
            index, inside = places
            differences = np.where(inside, np.take(windows.values, index, axis=-1) - mean[..., None], 0.0)
            squares, rest = (differences * differences).sum(axis=-1), differences.sum(axis=-1)
        for offset in range(0 if places is not None else windows.longest()):
            inside = windows.lo + offset < windows.hi
            difference = windows.at(windows.values, windows.clipped(windows.lo + offset)) - mean
            squares += np.where(inside, difference * difference, 0.0)
            rest += np.where(inside, difference, 0.0)
        count = np.maximum(windows.count, 1)
        variance = np.maximum((squares - rest * rest / count) / count, 0.0)
        variance = np.where(np.isinf(squares) & np.isfinite(mean), np.inf, variance)
    return np.where(_constant(windows) & np.isfinite(mean), 0.0, variance)


def _constant(windows: Windows) -> Bool:
    """Windows in which no value differs from the one before: their variance is 0 whatever rounding says."""
    differs = np.zeros(windows.values.shape, np.int64)
    np.cumsum(windows.values[..., 1:] != windows.values[..., :-1], axis=-1, out=differs[..., 1:])
    return np.asarray(windows.at(differs, windows.last) == windows.at(differs, windows.first))


def _time_of_extreme(windows: Windows, beats: Any) -> Float64:
    """Seconds of the sample that wins when samples are looked at in order and a tie goes to the later one."""
    best = windows.at(windows.values, windows.first)
    when = np.broadcast_to(windows.times(windows.first), windows.shape).copy()
    with np.errstate(all="ignore"):
        for offset in range(windows.longest()):
            index = windows.clipped(windows.lo + offset)
            value = windows.at(windows.values, index)
            wins = (windows.lo + offset < windows.hi) & (beats(value, best) | np.isnan(best))
            best = np.where(wins, value, best)
            when = np.where(wins, windows.times(index), when)
    return when / 1000


def _each_window(windows: Windows, kernel: Callable[[Float64, Int64], Float64]) -> Float64:
    """Runs `kernel` on windows laid out in full, [rows, s, longest] with NaN behind the end, in blocks of rows."""
    rows, steps = windows.shape
    longest = max(windows.longest(), 1)
    block = max(1, _BLOCK_CELLS // max(steps * longest, 1))
    offsets = np.arange(longest)
    result = np.empty((rows, steps))
    count = np.broadcast_to(windows.count, (rows, steps))
    for start in range(0, rows, block):
        part = slice(start, min(start + block, rows))
        lo = windows.lo[part] if windows.ragged else windows.lo
        index = windows.clipped(lo[..., None] + offsets)
        values = windows.values[index] if windows.ragged else windows.values[part][:, index]
        outside = offsets >= count[part][..., None]
        result[part] = kernel(np.where(outside, np.nan, values), count[part])
    return result
