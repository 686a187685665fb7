"""Range vectors as columns: the samples of many series and, for every step, where its window begins and ends.

Two layouts share one arithmetic, because every kernel only takes along the last axis:

    shared grid   values [k, m]   t_ms [m]   lo, hi [s]       series scraped at the same instants, no holes
    ragged        values [n]      t_ms [n]   lo, hi [k, s]    all series laid end to end, each window inside its series
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tocsin.model.series import Bool, Float64, Int64


@dataclass(frozen=True)
class Windows:
    """Windows (end - range, end] over samples; sample i of a window has lo <= i < hi.

    values [k, m] or [n], t_ms [m] or [n], lo and hi [s] or [k, s]; end_ms [s] are the window ends, `range_ms` their
    width. Only real samples are in here: no absent cells, no staleness markers. `starts` [k]: where each series begins
    that is laid end to end with others.
    """

    values: Float64
    t_ms: Int64
    lo: Int64
    hi: Int64
    end_ms: Int64
    range_ms: int
    starts: Int64 | None = None

    @cached_property
    def count(self) -> Int64:
        """Samples per window, [s] or [k, s]."""
        return self.hi - self.lo

    @property
    def ragged(self) -> bool:
        return self.values.ndim == 1

    @cached_property
    def first(self) -> Int64:
        """Index of the first sample; clipped to a valid one where the window is empty."""
        return np.minimum(self.lo, max(self.t_ms.size - 1, 0))

    @cached_property
    def last(self) -> Int64:
        """Index of the last sample; clipped to a valid one where the window is empty."""
        return np.maximum(self.hi - 1, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """(series, steps) of the result."""
        steps = self.end_ms.size
        return (self.lo.shape[0], steps) if self.ragged else (self.values.shape[0], steps)

    def at(self, column: Any, index: Int64) -> Any:
        """Values of `column` (anything laid out like `values` or `t_ms`) at these sample indices."""
        return np.take(column, index, axis=-1)

    def read_at(self, index: Int64) -> Float64:
        """Sample values at these indices, to be looked at only: a view where a shared grid is asked for neighbours."""
        if index.ndim == 1 and not self.ragged and index.size and (np.diff(index) == 1).all():
            view: Float64 = self.values[:, int(index[0]) : int(index[-1]) + 1]
            return view
        return np.asarray(self.at(self.values, index))

    def times(self, index: Int64) -> Int64:
        """Timestamps at these indices, [s] or [k, s]; both broadcast against results."""
        return np.take(self.t_ms, index)

    def clipped(self, index: Int64) -> Int64:
        return np.clip(index, 0, max(self.t_ms.size - 1, 0))

    def longest(self) -> int:
        return int(self.count.max(initial=0))

    def samples(self) -> Int64:
        """Samples that the windows of all series hold together, [s]: what a query is charged for."""
        return np.asarray(self.count.sum(axis=0)) if self.ragged else self.count * self.values.shape[0]

    def laid_out(self, most_cells: int) -> tuple[Int64, Bool] | None:
        """Sample index of every place of every window and whether it is inside, [s, w] or [k, s, w]; None if too many.

        For few long windows this beats a loop over places, for many it would not fit the cache.
        """
        rows, steps = self.shape
        longest = self.longest()
        if longest < 8 * steps or rows * steps * longest > most_cells:
            return None
        index = self.lo[..., None] + np.arange(longest)
        return self.clipped(index), index < self.hi[..., None]

    def cell(self, row: int, step: int) -> tuple[Float64, Int64]:
        """Samples and timestamps of one window."""
        if self.ragged:
            window = slice(int(self.lo[row, step]), int(self.hi[row, step]))
            return self.values[window], self.t_ms[window]
        window = slice(int(self.lo[step]), int(self.hi[step]))
        return self.values[row, window], self.t_ms[window]
