"""Sums that lose nothing: compensated prefix sums over windows, compensated totals over series.

Prometheus adds sample after sample with Neumaier's compensation. Both that and what follows give the exact sum rounded
once (to about 1e-30 relative to the largest partial sum), so they agree to the last bits without agreeing in order.
Source: Ogita, Rump, Oishi, "Accurate sum and dot product" (2005), Sum2.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable

import numpy as np

from tocsin.model.series import Bool, Float64, Int64
from tocsin.promql.window import Windows

_ROUNDING = 2.0**-102
"""Relative error of a compensated prefix per added sample, with a margin of 16."""
_WANTED = 1e-13
_FEW = 512
"""So many cells are summed exactly in less time than numpy needs to begin."""
_CELLS = 32_768
"""So many are summed at once: the passes over them then stay in the processor's cache."""
_AT_LEAST = 16
"""Rows at once, where one alone fills the cache."""


def two_sum(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """a + b rounded, and what rounding lost, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


class PrefixSums:
    """Sums of any window from two arrays: running sums of finite values [..., m] and running sums of their rounding errors."""

    def __init__(self, values: Float64) -> None:
        shape = (*values.shape[:-1], values.shape[-1] + 1)
        self.high, self.low = np.zeros(shape), np.zeros(shape)
        with np.errstate(all="ignore"):  # where the running sum overflows, error() says so
            np.cumsum(values, axis=-1, out=self.high[..., 1:])
            before, after = self.high[..., :-1], self.high[..., 1:]
            part = after - before
            np.cumsum((before - (after - part)) + (values - part), axis=-1, out=self.low[..., 1:])

    def between(self, lo: Int64, hi: Int64) -> Float64:
        """Sum of samples lo <= i < hi; lo, hi [s] or [k, s]."""
        left, right = np.take(self.high, lo, axis=-1), np.take(self.high, hi, axis=-1)
        total = right - left
        part = total - right
        lost = (right - (total - part)) - (left + part)
        lost += np.take(self.low, hi, axis=-1)
        lost -= np.take(self.low, lo, axis=-1)
        return np.asarray(total + lost)

    def error(self) -> Float64:
        """A bound of the absolute error of any window sum, [..., 1]."""
        size = self.high.shape[-1]
        return np.asarray(np.abs(self.high).max(axis=-1, keepdims=True) * (size * _ROUNDING))


def window_sums(windows: Windows) -> Float64:
    """Sum of each window [k, s]; infinities and NaN as an addition in order would give them."""
    return _windowed(windows, in_order_sum, mean=False)


def window_means(windows: Windows) -> Float64:
    """Mean of each window [k, s], also where the sum would overflow."""
    return _windowed(windows, in_order_mean, mean=True)


def _windowed(windows: Windows, one_cell: Callable[[list[float]], float], *, mean: bool) -> Float64:
    values = windows.values
    finite = np.isfinite(values)
    clean = bool(finite.all())
    prefix = PrefixSums(values if clean else np.where(finite, values, 0.0))
    with np.errstate(all="ignore"):
        result = prefix.between(windows.lo, windows.hi)
        doubtful = ~(prefix.error() <= _WANTED * np.abs(result))
        if mean:
            result /= np.maximum(windows.count, 1)
    if doubtful.any():
        nonzero = _running(values != 0)
        doubtful &= windows.at(nonzero, windows.hi) != windows.at(nonzero, windows.lo)
        for row, step in np.argwhere(doubtful).tolist():
            result[row, step] = one_cell(windows.cell(row, step)[0].tolist())
    return result if clean else _with_specials(windows, result)


def _running(flags: Bool) -> Int64:
    """How many flags are set before each index, [..., m + 1]."""
    counts = np.zeros((*flags.shape[:-1], flags.shape[-1] + 1), np.int64)
    np.cumsum(flags, axis=-1, out=counts[..., 1:])
    return counts


def _with_specials(windows: Windows, result: Float64) -> Float64:
    """Windows with NaN give NaN, with one sign of infinity that infinity, with both NaN."""

    def holds(flags: Bool) -> Bool:
        counts = _running(flags)
        return np.asarray(windows.at(counts, windows.hi) != windows.at(counts, windows.lo))

    up, down = holds(np.isposinf(windows.values)), holds(np.isneginf(windows.values))
    result = np.where(up, np.inf, np.where(down, -np.inf, result))
    return np.where(holds(np.isnan(windows.values)) | (up & down), np.nan, result)


def in_order_sum(values: list[float]) -> float:
    """The sum as Prometheus adds it, value after value with Neumaier's compensation.

    For the few windows so ill-conditioned that how one adds shows in the answer.
    """
    total, lost = _add_in_order(values)
    return total if math.isinf(total) else total + lost


def _add_in_order(values: Iterable[float]) -> tuple[float, float]:
    total = lost = 0.0
    for value in values:
        total, lost = _compensated(value, total, lost)
    return total, lost


def _compensated(value: float, total: float, lost: float) -> tuple[float, float]:
    added = total + value
    if math.isinf(added):
        return added, 0.0
    if abs(total) >= abs(value):
        return added, lost + ((total - added) + value)
    return added, lost + ((value - added) + total)


def in_order_mean(values: list[float]) -> float:
    """The mean as Prometheus takes it: sum by count, or a running mean from where the sum would overflow."""
    total, lost, mean = values[0], 0.0, 0.0
    running = False
    for count, value in enumerate(values[1:], 2):
        if not running:
            added, rest = _compensated(value, total, lost)
            if not math.isinf(added):
                total, lost = added, rest
                continue
            running, mean, lost = True, total / (count - 1), lost / (count - 1)
        kept = (count - 1) / count
        mean, lost = _compensated(value / count, kept * mean, kept * lost)
    return mean + lost if running else total / len(values) + lost / len(values)


def total(rows: Float64) -> Float64:
    """Compensated sum over the first axis: [n, ...] -> [...], in a few passes for any n."""
    if rows.size <= _FEW:
        with contextlib.suppress(ValueError, OverflowError):  # what is not finite takes the long way
            columns = rows.reshape(len(rows), -1).T.tolist()
            return np.array([math.fsum(column) for column in columns]).reshape(rows.shape[1:])
    if rows[0].size == 1:
        return _in_order(rows)
    width = max(1, _CELLS // max(1, rows[0, ..., 0].size * _AT_LEAST))
    if rows.ndim > 1 and rows.shape[-1] > width:
        return np.concatenate([total(rows[..., start : start + width]) for start in range(0, rows.shape[-1], width)], axis=-1)
    at_once = max(_AT_LEAST, _CELLS // rows[0].size)
    with np.errstate(all="ignore"):
        parts = [_halved(rows[start : start + at_once], None) for start in range(0, len(rows), at_once)]
        high, low = _halved(np.stack([each for each, _ in parts]), np.stack([each for _, each in parts]))
        return np.asarray(np.where(np.isfinite(high) & np.isfinite(low), high + low, high))


def _in_order(rows: Float64) -> Float64:
    """Row after row as Prometheus adds them: running sums, and the sum of what each rounding lost."""
    with np.errstate(all="ignore"):
        running = np.cumsum(rows, axis=0)
        before, after = running[:-1], running[1:]
        part = after - before
        low = ((before - (after - part)) + (rows[1:] - part)).sum(axis=0)
        high = running[-1]
        return np.asarray(np.where(np.isfinite(high) & np.isfinite(low), high + low, high))


def _halved(rows: Float64, lost: Float64 | None) -> tuple[Float64, Float64]:
    """Sums over the first axis, pairwise, and what their roundings (and `lost`, of the rows) come to."""
    while len(rows) > 1:
        half = len(rows) // 2
        high, low = two_sum(rows[:half], rows[half : 2 * half])
        if lost is not None:
            low += lost[:half]
            low += lost[half : 2 * half]
        if len(rows) % 2:
            rest = np.zeros_like(rows[-1:]) if lost is None else lost[-1:]
            high, low = np.concatenate([high, rows[-1:]]), np.concatenate([low, rest])
        rows, lost = high, low
    return rows[0], np.zeros_like(rows[0]) if lost is None else lost[0]
