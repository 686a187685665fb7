"""A rule whose label sets do not touch each other: at an instant only those are evaluated that something may have moved.

With hundreds of alerts that fire for hours, nearly all of them stay as they are at nearly every look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import TypeVar

import numpy as np

from tocsin.backtest.columns import Columns
from tocsin.backtest.lane import Lane
from tocsin.model.alert import Transition
from tocsin.model.labels import Labels
from tocsin.model.ports import Queryable
from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.model.series import Bool, QueryResult, ValueType, Vector
from tocsin.rules.group import Surroundings, alert_labels

T = TypeVar("T")


def lane_of(group: RuleGroup, rule: AlertRule, *, sighted: bool) -> Lane:
    """The cheapest lane that finds what evaluating at every instant finds."""
    return RowLane(group, rule, sighted=sighted) if _stand_alone(group, rule) else Lane(group, rule, sighted=sighted)


def _stand_alone(group: RuleGroup, rule: AlertRule) -> bool:
    """Whether what becomes of one label set hangs on its own part of the rule's own expression only, and its name on no value."""
    if group.limit or any("{{" in text for text in rule.labels.values()):
        return False
    native = rule.native
    asks_more = native.thresholds or native.clear_expr or native.min_traffic_expr or native.proof_expr
    return rule.semantics is not Semantics.NATIVE or not (asks_more or native.on_nodata == "alert")


class RowLane(Lane):
    """Wakes the label sets of a rule one by one."""

    def __init__(self, group: RuleGroup, rule: AlertRule, *, sighted: bool) -> None:
        super().__init__(group, rule, sighted=sighted)
        self._rows: _Rows | None = None
        self._due: list[tuple[int, int, Labels]] = []
        """Heap of (place, a running number, label set)."""
        self._pushed = 0
        self._fresh = True

    def _plan(self, main: Sequence[Columns], others: Sequence[Columns], silent: Bool | None) -> None:
        (columns,) = main
        own = tuple(self.rule.labels.items())
        rows = _Rows(columns, [alert_labels(series, self.rule.name, own) for series in columns.labels], self.rule.expr)
        # Two series that become one alert are an error wherever both are there: the usual lane tells it.
        self._rows = rows if len(rows.number) == len(columns.labels) else None
        if self._rows is None:
            super()._plan(main, others, silent)
            return
        self._due.clear()
        self._fresh = True
        self._next = 0 if self.run.states else rows.next_move(-1)

    def step(self, around: Surroundings) -> tuple[Transition, ...]:
        rows, place, run = self._rows, self._next, self.run
        if rows is None:
            return super().step(around)
        # At the first look of a stretch everything counts, also what the stretch before had left to wait for.
        wanted = dict.fromkeys([*run.states, *rows.moved(place)] if self._fresh else [*self._woken(place), *rows.moved(place)])
        self._fresh = False
        states, flaps = run.states, run.flaps
        run.states = {labels: states[labels] for labels in wanted if labels in states}
        run.flaps = {labels: flaps[labels] for labels in wanted if labels in flaps}
        rows.show(place, wanted)
        transitions = self._evaluate(place, rows.around(around))
        for labels in wanted:
            self._wait_for(labels, place)
            _take_over(states, run.states, labels)
            _take_over(flaps, run.flaps, labels)
        run.states, run.flaps = states, flaps
        self._next = min(rows.next_move(place), self._due[0][0] if self._due else self._t_ms.size)
        return transitions

    def _woken(self, place: int) -> Iterator[Labels]:
        """Those whose time has come."""
        while self._due and self._due[0][0] <= place:
            yield heappop(self._due)[2]

    def _wait_for(self, labels: Labels, place: int) -> None:
        state, t_ms = self.run.states.get(labels), int(self._t_ms[place])
        wait_ms = None if state is None else self._deadline(state, t_ms)
        if wait_ms is not None:
            due = place + 1 if wait_ms <= t_ms else int(np.searchsorted(self._t_ms, wait_ms))
            self._pushed += 1
            heappush(self._due, (due, self._pushed, labels))


def _take_over(whole: dict[Labels, T], part: dict[Labels, T], labels: Labels) -> None:
    """One label set of `part` into `whole`; what is in its place stays there."""
    if labels in part:
        whole[labels] = part[labels]
    else:
        whole.pop(labels, None)


class _Rows:
    """The result of a rule over a stretch, row by row. `names` are the label sets of its alerts."""

    def __init__(self, columns: Columns, names: Sequence[Labels], query: str) -> None:
        self.number = {labels: row for row, labels in enumerate(names)}
        self._columns, self._names, self._query = columns, names, query
        self._seen = Vector((), np.empty(0), np.empty(0, np.int64))
        self._outside: Surroundings | None = None
        self._around: Surroundings | None = None
        present = columns.present
        changed = present.copy()
        np.not_equal(present[:, 1:], present[:, :-1], out=changed[:, 1:])
        rows, places = np.nonzero(changed)
        order = np.argsort(places, kind="stable")
        self._moved_rows, self._places = rows[order], places[order]

    def moved(self, place: int) -> list[Labels]:
        """Label sets that come or go at this place; all that are there at the first."""
        span = slice(*np.searchsorted(self._places, [place, place + 1]).tolist())
        return [self._names[row] for row in self._moved_rows[span].tolist()]

    def next_move(self, place: int) -> int:
        """The first place behind this one at which any comes or goes; the length of the stretch where none does."""
        at = int(np.searchsorted(self._places, place, side="right"))
        return int(self._places[at]) if at < self._places.size else self._columns.t_ms.size

    def show(self, place: int, wanted: Iterable[Labels]) -> None:
        """From now on the rule sees what there is of these label sets at this place."""
        columns, number = self._columns, self.number
        rows = np.array([number[labels] for labels in wanted if labels in number], np.int64)
        rows = rows[columns.present[rows, place]]
        labels = tuple([columns.labels[row] for row in rows.tolist()])
        self._seen = Vector(labels, columns.values[rows, place], np.full(len(rows), columns.t_ms[place]))

    def around(self, around: Surroundings) -> Surroundings:
        """The same surroundings with the rule's own query answered by what is shown."""
        if self._around is None or self._outside is not around:
            self._outside, self._around = (
                around,
                replace(around, queryable=_Part(around.queryable, self._query, lambda: self._seen)),
            )
        return self._around


@dataclass(frozen=True, slots=True)
class _Part:
    """A `Queryable` with an answer of its own to one query."""

    source: Queryable
    query: str
    seen: Callable[[], Vector]

    def instant(self, query: str, t_ms: int) -> QueryResult:
        if query == self.query:
            return QueryResult(ValueType.VECTOR, t_ms, vector=self.seen())
        return self.source.instant(query, t_ms)

    def range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> QueryResult:
        return self.source.range(query, start_ms, end_ms, step_ms)
