"""Arithmetic on the cumulative buckets of classic histograms.

Shapes: bounds [b] ascending, counts and mask [g, b, s], results [g, s]. A bucket that is not present at a step is as if
it did not exist there. Source: Prometheus `BucketQuantile`, `BucketFraction`; pinned by tests/promql/histogram.test.
"""

from __future__ import annotations

import numpy as np

from tocsin.model.series import Bool, Float64, Int64

_SMALL = 1e-12
"""Relative difference of neighbouring counts that is rounding, not an observation."""
_MIN_NORMAL = 2.2250738585072014e-308


def bucket_quantile(q: Float64, bounds: Float64, counts: Float64, mask: Bool) -> tuple[Float64, Bool]:
    """Quantile q [s] of each histogram, and where counts that fall with growing bounds had to be raised."""
    size = counts.shape[1]
    usable = mask[:, -1] & np.isposinf(bounds[-1]) & (mask.sum(axis=1) >= 2)
    with np.errstate(all="ignore"):
        counts, forced = _monotonic(counts, mask)
        upper = _carried(np.broadcast_to(bounds[None, :, None], counts.shape), mask)
        total = counts[:, -1]
        rank = q * total
        reached = (counts[:, :-1] >= rank[:, None, :]) & mask[:, :-1]
        bucket = size - 1 if size == 1 else np.where(reached.any(axis=1), reached.argmax(axis=1), size - 1)
        bucket = np.broadcast_to(bucket, total.shape)
        result = _interpolated(rank, bucket, counts, upper, mask, bounds)
        if size > 1:
            result = np.where(bucket == size - 1, upper[:, -2], result)
    result = np.where(usable & (total != 0), result, np.nan)
    result = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, np.where(np.isnan(q), np.nan, result)))
    judged = (q >= 0) & (q <= 1) & mask[:, -1] & np.isposinf(bounds[-1])
    return result, forced & judged


def _interpolated(
    rank: Float64,
    bucket: Int64,
    counts: Float64,
    upper: Float64,
    mask: Bool,
    bounds: Float64,
) -> Float64:
    index = bucket[:, None, :]
    count = np.take_along_axis(counts, index, axis=1)[:, 0]
    end = bounds[bucket]
    below = np.maximum(index - 1, 0)
    before_it: Int64 = np.cumsum(mask, axis=1) - mask.astype(np.int64)
    has_below = np.take_along_axis(before_it, index, axis=1)[:, 0] > 0
    before = np.where(has_below, np.take_along_axis(counts, below, axis=1)[:, 0], 0.0)
    start = np.where(has_below, np.take_along_axis(upper, below, axis=1)[:, 0], 0.0)
    result = start + (end - start) * ((rank - before) / (count - before))
    return np.where(~has_below & (end <= 0), end, result)


def _monotonic(counts: Float64, mask: Bool) -> tuple[Float64, Bool]:
    """Counts that never fall, absent buckets carrying the count before them; tiny differences are evened out."""
    fixed = counts.copy()
    forced = np.zeros((counts.shape[0], counts.shape[2]), bool)
    so_far, started = np.zeros(forced.shape), np.zeros(forced.shape, bool)
    for bucket in range(counts.shape[1]):
        current, here = counts[:, bucket], mask[:, bucket]
        first = here & ~started
        even = here & started & _almost_equal(so_far, current)
        fell = here & started & ~even & (current < so_far)
        forced |= fell
        so_far = np.where(first | (here & ~even & ~fell), current, so_far)
        fixed[:, bucket] = so_far
        started |= here
    return fixed, forced


def _almost_equal(a: Float64, b: Float64) -> Bool:
    total, difference = np.abs(a) + np.abs(b), np.abs(a - b)
    tiny = (a == 0) | (b == 0) | (total < _MIN_NORMAL)
    near = np.where(tiny, difference < _SMALL * _MIN_NORMAL, difference / np.minimum(total, 1.7976931348623157e308) < _SMALL)
    return np.asarray((a == b) | near | (np.isnan(a) & np.isnan(b)))


def _carried(values: Float64, mask: Bool) -> Float64:
    """Absent cells repeat the last present one along the bucket axis."""
    if mask.all():
        return values
    index = np.where(mask, np.arange(values.shape[1])[None, :, None], 0)
    return np.take_along_axis(values, np.maximum.accumulate(index, axis=1), axis=1)


def bucket_fraction(lower: Float64, upper: Float64, bounds: Float64, counts: Float64, mask: Bool) -> Float64:
    """Fraction of observations in [lower, upper] (each [s]) of each histogram."""
    with np.errstate(all="ignore"):
        total = counts[:, -1]
        low = _rank_of(lower, bounds, counts, mask, total)
        high = _rank_of(upper, bounds, counts, mask, total)
        result = np.where(lower >= upper, 0.0, (high - low) / total)
    nothing = ~mask[:, -1] | ~np.isposinf(bounds[-1]) | (total == 0) | np.isnan(lower) | np.isnan(upper)
    return np.where(nothing, np.nan, result)


def _rank_of(limit: Float64, bounds: Float64, counts: Float64, mask: Bool, total: Float64) -> Float64:
    """How many observations lie below the limit."""
    rank, below = np.zeros(total.shape), np.full(total.shape, -np.inf)
    result, known = np.zeros(total.shape), np.zeros(total.shape, bool)
    for bucket, bound in enumerate(bounds.tolist()):
        count, here = counts[:, bucket], mask[:, bucket]
        at_edge = here & ~known & (below >= limit)
        inside = here & ~known & ~at_edge & (below < limit) & (bound > limit)
        result = np.where(at_edge, rank, result)
        result = np.where(inside, rank + (count - rank) * (limit - below) / (bound - below), result)
        known |= at_edge | inside
        rank, below = np.where(here, count, rank), np.where(here, bound, below)
    return np.where(~known | (result > total), total, result)
