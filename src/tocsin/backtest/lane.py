"""One alerting rule on its way through a stretch of history, looking only where something can move.

Between two looks nothing moves by construction: a rule at rest waits for the first element of its result, an alert that fires
waits until other series are there, a pending one also for the end of its `for`. Everywhere else every evaluation is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tocsin.backtest.columns import ColumnQueryable, Columns
from tocsin.errors import QueryError
from tocsin.model.alert import AlertPhase, AlertState, Transition
from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.model.series import Bool, Int64
from tocsin.rules.group import GroupRun, Surroundings
from tocsin.rules.nodata import silence_queries
from tocsin.rules.threshold import override_exprs


class Lane:
    """A rule of a group; `enter` a stretch, then `step` at every instant of `upcoming`."""

    def __init__(self, group: RuleGroup, rule: AlertRule, *, sighted: bool) -> None:
        """`sighted`: whether blind targets are told from healthy ones, so that a missing alert has to be looked at each time."""
        self.rule = rule
        self.group = replace(group, rules=(replace(rule, annotations={}),))
        self._group_run = GroupRun(self.group)
        (self.run,) = self._group_run.runs
        self._sighted = sighted
        self._t_ms: Int64 = np.zeros(0, dtype=np.int64)
        self._awake: Int64 = self._t_ms
        self._moved: Int64 = self._t_ms
        self._next = 0
        self.error = ""
        self.looks = 0
        """Evaluations that were made."""

    def enter(self, t_ms: Int64, columns: ColumnQueryable) -> None:
        """Fetch all that the rule asks at these evaluation times, int64 [n] ascending. A query that fails is kept as `error`."""
        self._t_ms = t_ms
        self._next = t_ms.size
        if not t_ms.size:
            return
        offset_ms = self.group.query_offset_ms
        grid = (int(t_ms[0]) - offset_ms, int(t_ms[-1]) - offset_ms, self.group.interval_ms)
        native = self.rule.native
        try:
            main = [columns.fetch(query, *grid) for query in (self.rule.expr, *override_exprs(self.rule))]
            others = [columns.fetch(query, *grid) for query in (native.clear_expr, native.min_traffic_expr) if query]
            silent = self._silent(columns, grid)
        except QueryError as error:
            self.error = str(error)
            return
        self._plan(main, others, silent)

    def _plan(self, main: Sequence[Columns], others: Sequence[Columns], silent: Bool | None) -> None:
        """Where to look, given the results that make the rule TRUE, those that hold it open, and where nothing has data."""
        awake: Bool = np.logical_or.reduce([found.any() for found in main])
        moved: Bool = np.logical_or.reduce([found.moved() for found in (*main, *others)])
        if silent is not None:
            awake, moved = awake | silent, moved | np.concatenate(([True], silent[1:] != silent[:-1]))
        self._awake, self._moved = np.flatnonzero(awake), np.flatnonzero(moved)
        self._next = 0 if self.run.states else self._first(self._awake, 0)

    def _silent(self, columns: ColumnQueryable, grid: tuple[int, int, int]) -> Bool | None:
        """bool [n]: where none of the rule's series has data; None for a rule that does not mind."""
        if self.rule.semantics is not Semantics.NATIVE or self.rule.native.on_nodata != "alert":
            return None
        found: Bool = np.logical_and.reduce([columns.fetch(query, *grid).any() for query in silence_queries(self.run.selects)])
        return found

    @property
    def next_ms(self) -> int | None:
        """The next evaluation time that has to be looked at; None = none in this stretch."""
        return int(self._t_ms[self._next]) if self._next < self._t_ms.size else None

    def step(self, around: Surroundings) -> tuple[Transition, ...]:
        """Evaluate at `next_ms` and move on."""
        place = self._next
        transitions = self._evaluate(place, around)
        self._next = self._after(place, int(self._t_ms[place]))
        return transitions

    def _evaluate(self, place: int, around: Surroundings) -> tuple[Transition, ...]:
        t_ms = int(self._t_ms[place])
        if self.run.evaluated_ms:
            self.run.evaluated_ms = t_ms - self.group.interval_ms  # what lies between was evaluated, with nothing to see
        (outcome,) = self._group_run.evaluate([self.run], t_ms, around)
        self.looks += 1
        self.error = self.error or outcome.run.error
        return outcome.transitions

    def _after(self, place: int, t_ms: int) -> int:
        if not self.run.states:
            return self._first(self._awake, place + 1)
        if self.rule.native.min_traffic_expr:
            return place + 1
        next_place = self._first(self._moved, place + 1)
        for wait_ms in self._waits(t_ms):
            if wait_ms <= t_ms:
                return place + 1
            next_place = min(next_place, int(np.searchsorted(self._t_ms, wait_ms)))
        return next_place

    def _waits(self, t_ms: int) -> Iterator[int]:
        """For each alert that time alone can move, the first instant at which it may."""
        for state in self.run.states.values():
            wait_ms = self._deadline(state, t_ms)
            if wait_ms is not None:
                yield wait_ms

    def _deadline(self, state: AlertState, t_ms: int) -> int | None:
        """When time alone can move an alert; None: it fires, and goes on as long as its result is there."""
        if state.phase is AlertPhase.FIRING and state.last_true_ms == t_ms:
            return None
        rule, native = self.rule, self.rule.native
        is_native = rule.semantics is Semantics.NATIVE
        if state.phase is AlertPhase.PENDING and state.last_true_ms == t_ms and not (is_native and native.hold_m):
            return state.active_at_ms + rule.for_ms
        if state.phase is AlertPhase.CLEARING and not self._sighted and not native.clear_expr and not state.unknown_since_ms:
            clear_ms = max(rule.keep_firing_for_ms, native.clear_for_ms if is_native else 0)
            return state.keep_firing_since_ms + clear_ms
        return t_ms

    def _first(self, places: Int64, after: int) -> int:
        """The first of `places` at or behind `after`; n when there is none."""
        i = int(np.searchsorted(places, after))
        return int(places[i]) if i < places.size else self._t_ms.size
