"""Lines and smoothing through the samples of a window."""

from __future__ import annotations

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.model.series import Bool, Float64, Int64
from tocsin.promql.function import EXPERIMENTAL, Call, Cells, Scalar, function
from tocsin.promql.sums import total, two_sum
from tocsin.promql.window import Windows

_MOST_CELLS = 4_000_000


@function("deriv")
def deriv(call: Call, series: Windows) -> Cells:
    """Per-second slope of the least-squares line through the window."""
    slope, _ = regression(series, series.times(series.first))
    return slope, series.count >= 2


@function("predict_linear", at_safe=False)
def predict_linear(call: Call, series: Windows, seconds: Scalar) -> Cells:
    """Value of the least-squares line that many seconds from now."""
    slope, intercept = regression(series, call.t_ms)
    with np.errstate(all="ignore"):
        return slope * seconds + intercept, series.count >= 2


@function("double_exponential_smoothing", feature=EXPERIMENTAL)
def double_exponential_smoothing(call: Call, series: Windows, smoothing: Scalar, trend: Scalar) -> Cells:
    """Smoothed value of gauges; both factors between 0 and 1, higher = recent samples and trends count more."""
    for what, factors in (("smoothing", smoothing), ("trend", trend)):
        if len(wrong := factors[(factors <= 0) | (factors >= 1)]):
            limits = f"0 < {what[0]}f < 1"
            raise ExecutionError(f"invalid {what} factor. Expected: {limits}, got: {wrong[0]:f}")
    values = series.values
    depth = min(_memory(smoothing, trend), series.longest())
    begin = np.maximum(series.lo, series.hi - depth)
    smooth = series.at(values, series.clipped(begin))
    before = np.zeros(series.shape)
    with np.errstate(all="ignore"):
        slope = series.at(values, series.clipped(begin + 1)) - smooth
        for offset in range(1, depth):
            inside = begin + offset < series.hi
            if offset > 1:
                slope = np.where(inside, trend * (smooth - before) + (1 - trend) * slope, slope)
            value = series.at(values, series.clipped(begin + offset))
            following = smoothing * value + (1 - smoothing) * (smooth + slope)
            before, smooth = np.where(inside, smooth, before), np.where(inside, following, smooth)
    return smooth, series.count >= 2


def _memory(smoothing: Scalar, trend: Scalar) -> int:
    """After how many samples what came before has faded below 1e-30 of itself: windows need not begin earlier.

    The state (value, slope) is multiplied by the same 2 x 2 matrix with every sample; its spectral radius says how fast.
    """
    slowest = 0.0
    for keep, learn in np.unique(np.stack([smoothing, trend]), axis=1).T:
        state = np.array([[1 - keep, 1 - keep], [-learn * keep, 1 - learn * keep]])
        slowest = max(slowest, float(np.abs(np.linalg.eigvals(state)).max()))
    return 2**62 if slowest >= 0.999999 else int(np.log(1e-30) / np.log(max(slowest, 1e-9))) + 50


def regression(windows: Windows, origin_ms: Int64) -> tuple[Float64, Float64]:
    """Slope per second and value at `origin_ms` ([s] or [k, s]) of the least-squares line of each window, both [k, s].

    All four sums are compensated. A constant window has slope 0 exactly; a constant infinity gives NaN.
    """
    first = windows.at(windows.values, windows.first)
    sums = _sums_at_once(windows, origin_ms) or _sums_place_by_place(windows, origin_ms)
    sum_x, sum_y, sum_xy, sum_xx = sums
    constant = _unchanging(windows)
    with np.errstate(all="ignore"):
        count = np.maximum(windows.count, 1)
        slope = (sum_xy - sum_x * sum_y / count) / (sum_xx - sum_x * sum_x / count)
        intercept = sum_y / count - slope * sum_x / count
    flat = np.where(np.isinf(first), np.nan, 0.0)
    return np.where(constant, flat, slope), np.where(constant, first + flat, intercept)


def _unchanging(windows: Windows) -> Bool:
    """Windows in which every value equals the first."""
    differs = np.zeros(windows.values.shape, np.int64)
    np.cumsum(windows.values[..., 1:] != windows.values[..., :-1], axis=-1, out=differs[..., 1:])
    return np.asarray(windows.at(differs, windows.last) == windows.at(differs, windows.first))


def _sums_at_once(windows: Windows, origin_ms: Int64) -> tuple[Float64, ...] | None:
    """Compensated sums of x, y, xy and xx for few long windows, [k, s] each."""
    if (places := windows.laid_out(_MOST_CELLS)) is None:
        return None
    index, inside = places
    y = np.take(windows.values, index, axis=-1)
    x = np.broadcast_to((windows.times(index) - origin_ms[..., None]) / 1000, y.shape)
    with np.errstate(all="ignore"):
        return tuple(total(np.moveaxis(np.where(inside, term, 0.0), -1, 0)) for term in (x, y, x * y, x * x))


def _sums_place_by_place(windows: Windows, origin_ms: Int64) -> tuple[Float64, ...]:
    """The same by a loop over the places of the longest window."""
    shape = windows.shape
    sums = [(np.zeros(shape), np.zeros(shape)) for _ in range(4)]
    with np.errstate(all="ignore"):
        for offset in range(windows.longest()):
            index = windows.clipped(windows.lo + offset)
            inside = windows.lo + offset < windows.hi
            y = windows.at(windows.values, index)
            x = (windows.times(index) - origin_ms) / 1000
            for number, term in enumerate((x, y, x * y, x * x)):
                high, low = sums[number]
                added, lost = two_sum(high, np.where(inside, term, 0.0))
                sums[number] = (added, low + np.where(np.isinf(added), 0.0, lost))
        return tuple(high + low for high, low in sums)
