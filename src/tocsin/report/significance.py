"""Is this week different from the last, or is it the weather? Tests that assume little; exact where samples are small. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

ALPHA = 0.05
_EXACT = 20
"""Up to this many values a side without ties the distribution of the rank sum is counted, not approximated."""


@dataclass(frozen=True, slots=True)
class Change:
    """`ratio` = after / before - 1, None where there is no before; `p` 1 when nothing can be said."""

    before: float | None
    after: float | None
    ratio: float | None
    p: float

    @property
    def significant(self) -> bool:
        return self.p < ALPHA


def of_samples(before: Sequence[float], after: Sequence[float]) -> Change:
    """Medians of daily values compared by the two-sided rank-sum test.

    Days rather than single samples, because neighbouring samples tell the same story and would make everything significant.
    Source: Mann and Whitney 1947; ties and normal approximation as in Lehmann, Nonparametrics.
    """
    a, b = _finite(before), _finite(after)
    middle_a = float(np.median(a)) if a.size else None
    middle_b = float(np.median(b)) if b.size else None
    ratio = middle_b / middle_a - 1 if middle_a and middle_b is not None else None
    return Change(middle_a, middle_b, ratio, rank_sum_p(a, b))


def of_counts(before: int, after: int) -> Change:
    """Two Poisson counts over times of equal length: given their sum, one is binomial with 1/2. Exact, two-sided."""
    total = before + after
    if total == 0:
        return Change(0.0, 0.0, None, 1.0)
    least = min(before, after)
    tail = sum(math.comb(total, k) for k in range(least + 1)) / 2**total
    return Change(float(before), float(after), after / before - 1 if before else None, min(1.0, 2 * tail))


def rank_sum_p(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p of the rank-sum test; 1 with fewer than three values on a side."""
    m, n = int(a.size), int(b.size)
    if m < 3 or n < 3:
        return 1.0
    values = np.concatenate([a, b])
    distinct, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    u = float(ranks[:m].sum()) - m * (m + 1) / 2
    if distinct.size == values.size and m <= _EXACT and n <= _EXACT:
        ways = _rank_sum_ways(m, n)
        least = int(min(u, m * n - u))
        return min(1.0, 2 * sum(ways[: least + 1]) / sum(ways))
    ties = float((counts**3 - counts).sum())
    total = m + n
    variance = m * n / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    z = max(abs(u - m * n / 2) - 0.5, 0.0) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


@lru_cache(maxsize=256)
def _rank_sum_ways(m: int, n: int) -> tuple[int, ...]:
    """How many orders of m and n values give each U: coefficients of the Gaussian binomial."""
    ways = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):
            ways[u] -= ways[u - n - i]
        for u in range(i, m * n + 1):
            ways[u] += ways[u - i]
    return tuple(ways)


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]
