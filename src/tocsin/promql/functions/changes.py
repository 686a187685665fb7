"""How often a series moved."""

from __future__ import annotations

import numpy as np

from tocsin.model.series import Bool
from tocsin.promql.function import Call, Cells, function
from tocsin.promql.window import Windows


@function("changes")
def changes(call: Call, series: Windows) -> Cells:
    """How often the value changed within the window."""
    before, after = series.values[..., :-1], series.values[..., 1:]
    return _count_pairs(series, (before != after) & ~(np.isnan(before) & np.isnan(after)))


@function("resets")
def resets(call: Call, series: Windows) -> Cells:
    """How often a counter fell within the window."""
    return _count_pairs(series, series.values[..., 1:] < series.values[..., :-1])


def _count_pairs(windows: Windows, flags: Bool) -> Cells:
    """Flagged neighbours (i, i + 1) with both inside the window."""
    running = np.zeros(windows.values.shape, np.int64)
    np.cumsum(flags, axis=-1, out=running[..., 1:])
    count = windows.at(running, windows.last) - windows.at(running, windows.first)
    return np.asarray(count, np.float64), None
