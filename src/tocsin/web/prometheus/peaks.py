"""`peaks=N`, an addition of ours to range queries: about N points for a chart, with every peak and every dip among them.

A chart of a day has a thousand pixels, the day has 5,760 steps of 15 s. Asked for every 90 s it would show one value in six, and
a peak of a minute only by chance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tocsin.model.series import ABSENT_NAN, Float64, Int64, Matrix, QueryResult


def peaks(result: QueryResult, points: int) -> QueryResult:
    """Of each stretch of steps the lowest and the highest value, in the order in which they came; few steps stay as they are.

    The grid stays even, half a stretch apart, from the first step on. The last point is the newest value, so that what a chart
    says of now is true. O(k m) for k series and m steps.
    """
    matrix = result.matrix
    if matrix is None or matrix.t_ms.size <= max(points, 2):
        return result
    half = -(-matrix.t_ms.size // points)
    t_ms: Int64 = matrix.t_ms[::half]
    whole = (t_ms.size - 1) // 2  # stretches before the last, which is for what is newest
    values = np.concatenate(
        [_pairs(matrix.values, whole, half), _end(matrix.values[:, whole * 2 * half :], t_ms.size % 2 == 1)], 1
    )
    told = replace(
        result.annotations, infos=(*result.annotations.infos, f"peaks: {matrix.t_ms.size} steps in {t_ms.size} points")
    )
    return replace(result, matrix=Matrix(matrix.labels, t_ms, values), annotations=told)


def _pairs(values: Float64, stretches: int, half: int) -> Float64:
    """[k, m] -> [k, 2 n]: the extremes of each of the first n stretches of 2 `half` steps; absent where there is no number."""
    folded = values[:, : stretches * 2 * half].reshape(len(values), stretches, 2 * half)
    low, high = _extremes(folded)
    pair = np.stack([np.minimum(low, high), np.maximum(low, high)], axis=2)
    found = np.take_along_axis(folded, pair, axis=2)
    return np.where(np.isnan(found), ABSENT_NAN, found).reshape(len(values), stretches * 2)


def _end(tail: Float64, alone: bool) -> Float64:
    """[k, m] -> [k, 1] or [k, 2]: the last number; before it, if it is not `alone`, the extreme that is farther from it."""
    rows = np.arange(len(tail))
    at = tail.shape[1] - 1 - np.argmax(~np.isnan(tail[:, ::-1]), axis=1)
    last = tail[rows, at]
    low, high = (tail[rows, where[:, 0]] for where in _extremes(tail[:, None, :]))
    with np.errstate(invalid="ignore"):  # two infinities are as far apart as one likes
        farther = np.where(np.abs(high - last) >= np.abs(last - low), high, low)
    found = last[:, None] if alone else np.stack([farther, last], axis=1)
    return np.asarray(np.where(np.isnan(found), ABSENT_NAN, found), np.float64)


def _extremes(folded: Float64) -> tuple[Int64, Int64]:
    """[k, n, m] -> the places [k, n] of the lowest and of the highest number; 0 where there is none."""
    none = np.isnan(folded)
    return np.where(none, np.inf, folded).argmin(axis=2), np.where(none, -np.inf, folded).argmax(axis=2)
