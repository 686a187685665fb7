"""Aggregations that give one value per group and step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64
from tocsin.promql.frame import Frame
from tocsin.promql.quantile import quantiles
from tocsin.promql.select import widened
from tocsin.promql.sums import in_order_mean, total

_MANY_STEPS = 32
"""From so many on it is worth a look which of them have a value at all."""


def aggregate(op: str, frame: Frame, numbers: Int64, groups: tuple[Labels, ...], param: Float64 | None) -> Frame:
    """One row per group. numbers int64 [k] are the groups of the rows; param float64 [s] is the φ of `quantile`."""
    steps = frame.steps
    seen = _seen(frame)
    if seen.stop - seen.start < steps:
        # Where nothing is there is nothing to add up.
        part = Frame(frame.labels, frame.values[:, seen], frame.mask()[:, seen], frame.nameless)
        found = aggregate(op, part.filled(), numbers, groups, None if param is None else param[seen])
        return found.with_values(widened(found.values, seen, steps), widened(found.mask(), seen, steps))
    if len(groups) == 1 and frame.labels:
        return _one_group(op, frame, groups, param)
    values, present = np.zeros((len(groups), steps)), np.zeros((len(groups), steps), bool)
    for members, rows in batches(numbers, len(groups)):
        cells = frame.values[rows]
        mask = None if frame.present is None else frame.present[rows]
        count = np.full((len(members), steps), rows.shape[1]) if mask is None else mask.sum(axis=1)
        values[members] = _reduce(op, cells, mask, count, param)
        present[members] = count > 0
    return _of_groups(frame, groups, values, present)


def _seen(frame: Frame) -> slice:
    """From the first to the last step that has a value."""
    if frame.present is None or not frame.labels or frame.steps < _MANY_STEPS:
        return slice(0, frame.steps)
    some = np.flatnonzero(frame.present.any(axis=0))
    return slice(int(some[0]), int(some[-1]) + 1) if some.size else slice(0, frame.steps)


def _one_group(op: str, frame: Frame, groups: tuple[Labels, ...], param: Float64 | None) -> Frame:
    """All rows are one group: nothing to sort them by, nothing to copy."""
    cells = frame.values[None]
    mask = None if frame.present is None else frame.present[None]
    count = np.full((1, frame.steps), len(frame.labels)) if mask is None else mask.sum(axis=1)
    return _of_groups(frame, groups, _reduce(op, cells, mask, count, param), count > 0)


def _of_groups(frame: Frame, groups: tuple[Labels, ...], values: Float64, present: Bool) -> Frame:
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
