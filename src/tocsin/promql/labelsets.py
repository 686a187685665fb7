"""What queries do to the labels of many series at once, remembered.

Deriving labels is Python work per series; the answers depend on nothing but the label sets, so one cache serves all
queries and rules. A key hashes and compares its label sets by cached hashes and identity, which is far cheaper.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tocsin.model.labels import EMPTY_LABELS, METADATA_LABELS, METRIC_NAME, Labels
from tocsin.model.series import Int64
from tocsin.promql.ast import Cardinality, VectorMatching
from tocsin.promql.frame import Frame, merged

DELAYED_NAME_REMOVAL = "promql-delayed-name-removal"
Rows = tuple[Labels, ...]
T = TypeVar("T")


class LabelCache:
    """The last answers, up to `capacity` label sets in all keys together. Usable from any thread.

    Two generations instead of an order of use: hashing a key of thousands of label sets is most of what a hit costs, and
    moving it in an order would hash it again.
    """

    def __init__(self, capacity: int = 500_000) -> None:
        self._capacity = capacity
        self._held = 0
        self._young: dict[tuple[Any, ...], tuple[Any]] = {}
        self._old: dict[tuple[Any, ...], tuple[Any]] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[Any, ...], size: int, compute: Callable[[], T]) -> T:
        answer: T
        with self._lock:
            if (found := self._young.get(key)) is not None:
                answer = found[0]
                return answer
            found = self._old.get(key)
        answer = compute() if found is None else found[0]
        with self._lock:
            if 2 * (self._held + size) > self._capacity:
                self._young, self._old, self._held = {}, self._young, 0
            if key not in self._young:
                self._held += size
            self._young[key] = (answer,)
        return answer

    def without_name(self, rows: Rows) -> Rows:
        return self.get(("name", rows), len(rows), lambda: tuple(map(nameless, rows)))

    def grouped(self, rows: Rows, names: tuple[str, ...], *, without: bool) -> tuple[Int64, Rows]:
        """Group number of each row, and the labels of each group, in order of first appearance."""
        if (not names and not without) or repeats(rows):
            return _grouped(rows, names, without=without)
        return self.get(("group", rows, names, without), len(rows), lambda: _grouped(rows, names, without=without))

    def signatures(self, rows: Rows, matching: VectorMatching) -> Rows:
        """What each row is matched by."""

        def compute() -> Rows:
            if matching.on:
                return tuple(labels.only(matching.labels) for labels in rows)
            return tuple(labels.without(METRIC_NAME, *matching.labels) for labels in rows)

        return self.get(("signature", rows, matching.labels, matching.on), len(rows), compute)

    def results(self, many: Rows, one: Rows, matching: VectorMatching, *, changes: bool, to_bool: bool) -> Rows:
        """Labels of the results of matched pairs (many[i], one[i])."""

        def compute() -> Rows:
            rows = (_result(a, b, matching, changes=changes) for a, b in zip(many, one, strict=True))
            return tuple(map(nameless, rows)) if to_bool else tuple(rows)

        return self.get(("result", many, one, matching, changes, to_bool), len(many), compute)


@dataclass(frozen=True, slots=True)
class Naming:
    """How operations take names away: at once, or (`promql-delayed-name-removal`) marked and taken at the end."""

    cache: LabelCache
    delayed: bool

    def dropped(self, frame: Frame, *, strict: bool = False) -> Frame:
        """The frame without names. Rows that become equal are joined, or refused when `strict`; raises ExecutionError."""
        if self.delayed:
            return Frame(frame.labels, frame.values, frame.present, np.ones(len(frame.labels), bool))
        return merged(Frame(self.cache.without_name(frame.labels), frame.values, frame.present), strict=strict)

    def finished(self, frame: Frame) -> Frame:
        """Takes the marked names. Raises ExecutionError where rows become equal."""
        if frame.nameless is None:
            return frame
        pairs = zip(frame.labels, frame.nameless.tolist(), strict=True)
        labels = tuple(nameless(each) if marked else each for each, marked in pairs)
        return merged(Frame(labels, frame.values, frame.present), strict=True)


def _grouped(rows: Rows, names: tuple[str, ...], *, without: bool) -> tuple[Int64, Rows]:
    if not without and not names:
        return np.zeros(len(rows), np.int64), (EMPTY_LABELS,) if rows else ()
    one = bool(rows) and rows[0] is rows[-1] and rows.count(rows[0]) == len(rows)
    first: dict[Labels, int] = {}
    number_of: dict[int, int] = {}
    for labels in rows[:1] if one else {id(labels): labels for labels in rows}.values():
        group = labels.without(METRIC_NAME, *names) if without else labels.only(names)
        number_of[id(labels)] = first.setdefault(group, len(first))
    numbers = np.zeros(len(rows), np.int64) if one else np.array([number_of[id(labels)] for labels in rows], np.int64)
    return numbers, tuple(first)


def repeats(rows: Rows) -> bool:
    """Whether rows share labels, as where a store left out what an aggregation does not look at."""
    return len(rows) > 1 and (rows[0] is rows[-1] or len(set(map(id, rows))) < len(rows))


def nameless(labels: Labels) -> Labels:
    """Without the name, and without `__type__` and `__unit__` where they are labels."""
    return labels.without(*METADATA_LABELS)


def _result(many: Labels, one: Labels, matching: VectorMatching, *, changes: bool) -> Labels:
    if changes:
        many = nameless(many)
    if matching.cardinality is Cardinality.ONE_TO_ONE:
        many = many.only(matching.labels) if matching.on else many.without(*matching.labels)
    if matching.include:
        many = many.merged({name: one.get(name) for name in matching.include})
    return many
