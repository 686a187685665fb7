"""Aggregations that pick series: topk, bottomk, limitk, limit_ratio; and count_values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64
from tocsin.promql.aggregate import batches
from tocsin.promql.frame import Frame, empty
from tocsin.promql.labelhash import label_hash
from tocsin.promql.labelsets import Naming
from tocsin.promql.limits import Budget
from tocsin.promql.text import format_float, format_general

_HEAP_STRIDE = 128


def pick(op: str, frame: Frame, numbers: Int64, groups: int, param: Float64) -> Frame:
    """The chosen cells of the rows. param float64 [s]: k, or the ratio of limit_ratio. Raises ExecutionError.

    An instant query orders topk and bottomk by value within each group.
    """
    chooser: Callable[[Float64, Bool, Int64], Bool]
    match op:
        case "limit_ratio":
            return _by_ratio(frame, param)
        case "limitk":
            chooser = _first
        case _:
            chooser = _largest if op == "topk" else _smallest
    k = _whole(param, len(frame.labels))
    if not frame.labels or (k < 1).all():
        return empty(frame.steps)
    chosen = np.zeros(frame.values.shape, bool)
    order: list[int] = []
    for _, rows in batches(numbers, groups):
        for group in rows:
            chosen[group] = chooser(frame.values[group], frame.mask()[group], k)
            order += _display_order(op, frame.values[group, 0], group) if frame.steps == 1 else group.tolist()
    return frame.with_values(frame.values, chosen).rows(np.array(order, int)).compact()


def _whole(param: Float64, most: int) -> Int64:
    for value in param.tolist():
        if not -(2.0**63) <= value < 2.0**63:
            raise ExecutionError(f"Scalar value {format_general(value)} overflows int64")
    return np.minimum(param, most).astype(np.int64)


def _display_order(op: str, values: Float64, rows: Int64) -> list[int]:
    if op == "limitk":
        return [int(row) for row in rows]
    by_value = np.argsort(-values if op == "topk" else values, kind="stable")
    return [int(row) for row in rows[by_value]]


def _first(values: Float64, present: Bool, k: Int64) -> Bool:
    return present & (np.cumsum(present, axis=0) <= k)


def _largest(values: Float64, present: Bool, k: Int64) -> Bool:
    return _smallest(-values, present, k)


def _smallest(values: Float64, present: Bool, k: Int64) -> Bool:
    """The k smallest present cells of each column; NaN last; ties as Prometheus's heap resolves them."""
    rows = len(values)
    quick = _smallest_finite(values, present, k)
    if quick is not None:
        return quick
    absent_last = np.lexsort((np.where(present, values, np.inf), np.isnan(values), ~present), axis=0)
    place = np.empty_like(absent_last)
    np.put_along_axis(place, absent_last, np.arange(rows)[:, None], axis=0)
    chosen = present & (place < k)
    inside = np.clip(k - 1, 0, rows - 1)
    columns = np.arange(values.shape[1])
    last = values[absent_last[inside, columns], columns]
    beyond = absent_last[np.minimum(inside + 1, rows - 1), columns]
    tied = (k > 0) & (k < rows) & present[beyond, columns] & (values[beyond, columns] == last)
    for column in np.flatnonzero(tied).tolist():
        chosen[:, column] = _heap_choice(values[:, column], present[:, column], int(k[column]))
    return chosen


def _smallest_finite(values: Float64, present: Bool, k: Int64) -> Bool | None:
    """The same for one k and finite values, without sorting; None where it does not apply."""
    wanted = int(k[0])
    if not 0 < wanted < len(values) or (k != wanted).any() or not np.isfinite(values[present]).all():
        return None
    filled = values if present.all() else np.where(present, values, np.inf)
    chosen: Bool = present & (filled <= np.partition(filled, wanted - 1, axis=0)[wanted - 1])
    for column in np.flatnonzero(chosen.sum(axis=0) > wanted).tolist():
        chosen[:, column] = _heap_choice(values[:, column], present[:, column], wanted)
    return chosen


def _heap_choice(values: Float64, present: Bool, k: int) -> Bool:
    """Which cells remain when each later one replaces the worst only if it is strictly better.

    Which of several equally bad ones goes depends on the heap; this is the same binary heap as Go's.
    """
    heap: list[tuple[_Worst, int]] = []
    places = np.flatnonzero(present)
    for row in places[:k].tolist():
        _push(heap, (_Worst(float(values[row])), row))
    for start in range(k, len(places), _HEAP_STRIDE):
        # Most are no better than the worst so far, which only gets better: numpy passes by them.
        some = places[start : start + _HEAP_STRIDE]
        worst = heap[0][0].value
        better = values[some] < worst if worst == worst else ~np.isnan(values[some])
        for row in some[better].tolist():
            value = float(values[row])
            if heap[0][0].value > value or (heap[0][0].value != heap[0][0].value and value == value):
                heap[0] = (_Worst(value), row)
                _sift_down(heap)
    chosen = np.zeros(len(values), bool)
    chosen[[row for _, row in heap]] = True
    return chosen


class _Worst:
    """Orders the worst (NaN, then the largest) first."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value

    def __lt__(self, other: _Worst) -> bool:
        return self.value != self.value or self.value > other.value


def _push(heap: list[tuple[_Worst, int]], item: tuple[_Worst, int]) -> None:
    heap.append(item)
    child = len(heap) - 1
    while child and heap[child][0] < heap[(child - 1) // 2][0]:
        parent = (child - 1) // 2
        heap[child], heap[parent] = heap[parent], heap[child]
        child = parent


def _sift_down(heap: list[tuple[_Worst, int]]) -> None:
    parent = 0
    while (child := 2 * parent + 1) < len(heap):
        if child + 1 < len(heap) and heap[child + 1][0] < heap[child][0]:
            child += 1
        if not heap[child][0] < heap[parent][0]:
            return
        heap[child], heap[parent] = heap[parent], heap[child]
        parent = child


def _by_ratio(frame: Frame, ratio: Float64) -> Frame:
    """Series whose hash falls below the ratio; a negative ratio takes the complement."""
    if np.isnan(ratio).any() and frame.labels:
        raise ExecutionError("Ratio value NaN is NaN")
    capped = np.clip(ratio, -1.0, 1.0)
    offsets = np.array([label_hash(labels) / float(2**64 - 1) for labels in frame.labels])[:, None]
    chosen = np.where(capped >= 0, offsets < capped, offsets >= 1.0 + capped) & (capped != 0)
    return frame.with_values(frame.values, frame.mask() & chosen).compact()


def count_values(frame: Frame, name: str, grouping: tuple[str, ...], naming: Naming, budget: Budget, *, without: bool) -> Frame:
    """How many series of each group hold each value; the value becomes the label `name`."""
    bare = tuple(labels.without(name) for labels in frame.labels)
    numbers, groups = naming.cache.grouped(bare, tuple(sorted(set(grouping) - {name})), without=without)
    rows, steps = np.nonzero(frame.mask())
    values, which = np.unique(frame.values[rows, steps], return_inverse=True)
    pairs, row_of = np.unique(numbers[rows] * values.size + which, return_inverse=True)
    if not pairs.size:
        return empty(frame.steps)
    budget.room(pairs.size * frame.steps)
    counts = np.zeros((pairs.size, frame.steps))
    np.add.at(counts, (row_of, steps), 1.0)
    labels = tuple(groups[pair // values.size] for pair in pairs.tolist())
    if not (without and name in grouping):
        texts = [format_float(value) for value in values.tolist()]
        shown = (texts[pair % values.size] for pair in pairs.tolist())
        labels = tuple(group.merged({name: text}) for group, text in zip(labels, shown, strict=True))
    return _added_up(Frame(labels, counts, counts > 0))


def _added_up(frame: Frame) -> Frame:
    """Rows of the same labels added up (only where the value's own label is grouped away)."""
    first: dict[Labels, int] = {}
    rows = np.array([first.setdefault(labels, len(first)) for labels in frame.labels])
    if len(first) == len(frame.labels):
        return frame
    counts = np.zeros((len(first), frame.steps))
    np.add.at(counts, rows, frame.values)
    return Frame(tuple(first), counts, counts > 0)
