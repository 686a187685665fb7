"""Aggregations that give one value per group and step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64
from tocsin.promql.frame import Frame
from tocsin.promql.quantile import quantiles
from tocsin.promql.sums import in_order_mean, total


def aggregate(op: str, frame: Frame, numbers: Int64, groups: tuple[Labels, ...], param: Float64 | None) -> Frame:
    """One row per group. numbers int64 [k] are the groups of the rows; param float64 [s] is the φ of `quantile`."""
    steps = frame.steps
    values, present = np.zeros((len(groups), steps)), np.zeros((len(groups), steps), bool)
    for members, rows in batches(numbers, len(groups)):
        cells = frame.values[rows]
        mask = None if frame.present is None else frame.present[rows]
        count = np.full((len(members), steps), rows.shape[1]) if mask is None else mask.sum(axis=1)
        values[members] = _reduce(op, cells, mask, count, param)
        present[members] = count > 0
    # With delayed name removal Prometheus marks group i when input row i is marked; kept, names of groups depend on it.
    nameless = None if frame.nameless is None else frame.nameless[: len(groups)]
    return Frame(groups, values, None if present.all() else present, nameless).compact()


def batches(numbers: Int64, groups: int) -> Iterator[tuple[Int64, Int64]]:
    """Groups of equal size together: their numbers [g] and rows [g, size], rows in their order."""
    if groups == 1:
        yield np.zeros(1, np.int64), np.arange(numbers.size)[None, :]
        return
    order = np.argsort(numbers, kind="stable")
    sizes = np.bincount(numbers, minlength=groups)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for size in np.unique(sizes[sizes > 0]).tolist():
        members = np.flatnonzero(sizes == size)
        yield members, order[starts[members][:, None] + np.arange(size)]


def _reduce(op: str, cells: Float64, mask: Bool | None, count: Int64, param: Float64 | None) -> Float64:
    """cells [g, n, s] with mask -> [g, s]."""
    match op:
        case "sum":
            return _total(cells, mask)
        case "avg":
            return _mean(cells, mask, count)
        case "count":
            return count.astype(np.float64)
        case "group":
            return np.ones(count.shape)
        case "min":
            return np.asarray(np.fmin.reduce(_or_nan(cells, mask), axis=1))
        case "max":
            return np.asarray(np.fmax.reduce(_or_nan(cells, mask), axis=1))
        case "stdvar":
            return _variance(cells, mask, count)
        case "stddev":
            return np.sqrt(_variance(cells, mask, count))
        case _:
            assert op == "quantile" and param is not None
            return quantiles(np.moveaxis(_or_nan(cells, mask), 1, 2), count, param)


def _or_nan(cells: Float64, mask: Bool | None) -> Float64:
    return cells if mask is None else np.where(mask, cells, np.nan)


def _total(cells: Float64, mask: Bool | None) -> Float64:
    return total(np.moveaxis(cells if mask is None else np.where(mask, cells, 0.0), 1, 0))


def _mean(cells: Float64, mask: Bool | None, count: Int64) -> Float64:
    with np.errstate(all="ignore"):
        mean = _total(cells, mask) / np.maximum(count, 1)
    for group, step in np.argwhere(~np.isfinite(mean)).tolist():
        column = cells[group, :, step]
        mean[group, step] = in_order_mean((column if mask is None else column[mask[group, :, step]]).tolist())
    return mean


def _variance(cells: Float64, mask: Bool | None, count: Int64) -> Float64:
    with np.errstate(all="ignore"):
        # Around the first series, so that equal series have no variance at all.
        shifted = cells - (cells[:, :1] if mask is None else _first_present(cells, mask))
        difference = shifted - _mean(shifted, mask, count)[:, None, :]
        return _total(difference * difference, mask) / np.maximum(count, 1)


def _first_present(cells: Float64, mask: Bool) -> Float64:
    """The first present value of each group and step, [g, 1, s]."""
    return np.take_along_axis(cells, mask.argmax(axis=1)[:, None, :], axis=1)
