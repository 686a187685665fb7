"""Order of an instant vector. Range queries are always ordered by labels, so sorting does nothing there."""

from __future__ import annotations

import functools
import re

import numpy as np

from tocsin.model.labels import Labels
from tocsin.promql.frame import Frame
from tocsin.promql.function import EXPERIMENTAL, Call, function


@function("sort", keeps_name=True)
def sort(call: Call, vector: Frame) -> Frame:
    """Series by value, smallest first, NaN last."""
    return _by_value(vector, descending=False)


@function("sort_desc", keeps_name=True)
def sort_desc(call: Call, vector: Frame) -> Frame:
    """Series by value, largest first, NaN last."""
    return _by_value(vector, descending=True)


@function("sort_by_label", feature=EXPERIMENTAL, keeps_name=True)
def sort_by_label(call: Call, vector: Frame, *labels: str) -> Frame:
    """Series by these labels in natural order (`node9` before `node10`), then by all labels."""
    return _by_labels(vector, labels, descending=False)


@function("sort_by_label_desc", feature=EXPERIMENTAL, keeps_name=True)
def sort_by_label_desc(call: Call, vector: Frame, *labels: str) -> Frame:
    """As sort_by_label, the other way round."""
    return _by_labels(vector, labels, descending=True)


def _by_value(vector: Frame, *, descending: bool) -> Frame:
    if vector.steps != 1:
        return vector
    values = vector.values[:, 0]
    return vector.rows(np.argsort(-values if descending else values, kind="stable"))


def _by_labels(vector: Frame, names: tuple[str, ...], *, descending: bool) -> Frame:
    if vector.steps != 1:
        return vector

    def compare(a: int, b: int) -> int:
        return _compare(vector.labels[a], vector.labels[b], names)

    order = sorted(range(len(vector.labels)), key=functools.cmp_to_key(compare), reverse=descending)
    return vector.rows(np.array(order, int))


def _compare(a: Labels, b: Labels, names: tuple[str, ...]) -> int:
    for name in names:
        left, right = a.get(name), b.get(name)
        if left != right:
            return -1 if natural_less(left, right) else 1
    return (a.pairs > b.pairs) - (a.pairs < b.pairs)


_CHUNK = re.compile(r"[0-9]+|[^0-9]+")


def natural_less(a: str, b: str) -> bool:
    """Runs of digits compare as numbers, everything else as text; with equal runs the shorter list of them is less.

    Source: facette/natsort, which Prometheus uses.
    """
    left, right = _CHUNK.findall(a), _CHUNK.findall(b)
    for x, y in zip(left, right, strict=False):
        if x == y:
            continue
        if x.isdigit() and y.isdigit() and int(x) != int(y):
            return int(x) < int(y)
        return str(x) < str(y)
    return len(left) < len(right)
