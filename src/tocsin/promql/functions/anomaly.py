"""Tocsin's own: what a series usually is at this hour of the day, and how unusual it is now (flag `tocsin-anomaly`).

They replay the seasonal baseline over the samples of the window, oldest first; a range query replays once, from the
beginning of its first window. Two weeks at five minutes are a good choice: `anomaly_score(x[14d:5m])`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tocsin.model.series import Float64
from tocsin.promql.function import Call, Cells, function
from tocsin.promql.seasonal import Judgement, SeasonalBaseline
from tocsin.promql.window import Windows

FLAG = "tocsin-anomaly"


@function("baseline", feature=FLAG)
def baseline(call: Call, series: Windows) -> Cells:
    """What the series usually is at this hour of the day."""
    return _replayed(series, lambda judgement: judgement.expected), None


@function("baseline_upper", feature=FLAG)
def baseline_upper(call: Call, series: Windows) -> Cells:
    """Upper edge of the band of usual values."""
    return _replayed(series, lambda judgement: judgement.expected + judgement.half_width), None


@function("baseline_lower", feature=FLAG)
def baseline_lower(call: Call, series: Windows) -> Cells:
    """Lower edge of the band of usual values."""
    return _replayed(series, lambda judgement: judgement.expected - judgement.half_width), None


@function("anomaly_score", feature=FLAG)
def anomaly_score(call: Call, series: Windows) -> Cells:
    """How unusual the last value is: 1 at the edge of the band, more outside, 0 while still learning."""
    return _replayed(series, lambda judgement: judgement.score), None


def _replayed(windows: Windows, choose: Callable[[Judgement], Float64]) -> Float64:
    """The chosen number after the last sample of each window, [k, s]."""
    rows, steps = windows.shape
    lo, hi = np.broadcast_to(windows.lo, (rows, steps)), np.broadcast_to(windows.hi, (rows, steps))
    begin, end = lo.min(axis=1), hi.max(axis=1)
    length = int((end - begin).max(initial=0))
    if not length:
        return np.zeros((rows, steps))
    spacing = (windows.times(windows.clipped(end - 1)) - windows.times(windows.clipped(begin))) / np.maximum(end - begin - 1, 1)
    state = SeasonalBaseline(np.maximum(spacing, 1.0) / 3_600_000)
    after = np.zeros((rows, length))
    with np.errstate(all="ignore"):
        for offset in range(length):
            index = windows.clipped(begin + offset)
            values = windows.values[index] if windows.ragged else windows.values[np.arange(rows), index]
            active = (begin + offset < end) & np.isfinite(values)
            after[:, offset] = choose(state.update(windows.times(index), values, active))
    return np.take_along_axis(after, np.clip(hi - 1 - begin[:, None], 0, length - 1), axis=1)
