"""Rules replayed over stored history: what would have fired, when, for how long.

    stretch of history ──one range query per expression──▶ columns ──▶ lanes, in time order ──▶ the live state machine ──▶ firings

Every evaluation that can move anything is made by the same `GroupRun` that evaluates live, on the group's own instants.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tocsin.backtest.columns import ColumnQueryable
from tocsin.backtest.recorded import Overlay, needed, samples_of
from tocsin.backtest.rows import lane_of
from tocsin.backtest.targets import Targets
from tocsin.errors import QueryError
from tocsin.model.alert import AlertReason, Transition
from tocsin.model.labels import Labels
from tocsin.model.ports import Queryable, SampleReader
from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.model.series import Int64
from tocsin.rules.alerting import fires, resolves
from tocsin.rules.blindness import Sight
from tocsin.rules.group import Surroundings, nobody_blind
from tocsin.rules.selects import selects_of
from tocsin.rules.slots import slot_at

_STRETCH = 4_096
"""Evaluations taken at once; 17 h at 15 s. Bounds the memory: 8 bytes for each of them and each series."""
_LOOKBACK_MS = 300_000
_LONGEST_WARM_UP_MS = 86_400_000

Build = Callable[[SampleReader], Queryable]


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert from its firing to its end. Times in ms."""

    rule_id: str
    name: str
    labels: Labels
    active_ms: int
    """First TRUE."""
    fired_ms: int
    resolved_ms: int
    """0 = still firing at the end of the backtest."""
    value: float
    """When it fired."""
    reason: AlertReason

    def length_ms(self, end_ms: int) -> int:
        return (self.resolved_ms or end_ms) - self.fired_ms


@dataclass(slots=True)
class Replay:
    """What a backtest found."""

    start_ms: int
    end_ms: int
    firings: list[Firing] = field(default_factory=list)
    """In the order of their firing."""
    errors: dict[str, str] = field(default_factory=dict)
    """Rule name -> the first error of its queries."""
    notes: list[str] = field(default_factory=list)
    """What could not be replayed as it would have been live."""
    evaluations: int = 0
    """Evaluations the time stands for; `looks` of them could move anything and were made."""
    looks: int = 0


class Replayer:
    """Replays rules from `start_ms` to `end_ms`, both included where a group's grid meets them."""

    def __init__(
        self,
        groups: Sequence[RuleGroup],
        *,
        start_ms: int,
        end_ms: int,
        reader: SampleReader | None = None,
        build: Build | None = None,
        queryable: Queryable | None = None,
        only: Callable[[AlertRule], bool] = lambda rule: True,
        warm_up_ms: int | None = None,
    ) -> None:
        """Give `reader` and `build` (an engine over a reader), or a `queryable` alone: a remote Prometheus.

        `warm_up_ms` is how long before the start the rules begin to run; None = as long as their holds need.
        `only` chooses the alerting rules. Recording rules that those read are recomputed where there is a reader.
        """
        self._start_ms, self._end_ms = start_ms, end_ms
        self._warm_up = warm_up_ms
        self._result = Replay(start_ms, end_ms)
        alerts = [(group, rule) for group in groups for rule in group.rules if isinstance(rule, AlertRule) and only(rule)]
        self._recordings = needed(groups, [rule for _, rule in alerts])
        self._overlay: Overlay | None = None
        self._targets: Targets | None = None
        sight = None
        if reader is not None:
            assert build is not None
            if self._recordings:
                reader = self._overlay = Overlay(reader, {rule.name for _, rule in self._recordings})
            queryable = build(reader)
            self._targets = Targets(reader)
            sight = Sight(self._targets)
            sight.recorded = {rule.name: selects_of(rule.expr) for _, rule in self._recordings}
        elif self._recordings:
            names = ", ".join(rule.name for _, rule in self._recordings)
            self._result.notes.append(f"taken from the source as it recorded them, not recomputed: {names}")
            self._recordings = []
        assert queryable is not None
        self._columns = ColumnQueryable(queryable, points=_STRETCH)
        self._around = Surroundings(self._columns, unsighted=sight.unsighted if sight else nobody_blind)
        if sight is None and any(rule.semantics is not Semantics.PROMETHEUS for _, rule in alerts):
            self._result.notes.append("optimistic: without the store nothing tells a blind target from a recovered one")
        self._lanes = [lane_of(group, rule, sighted=sight is not None) for group, rule in alerts]
        self._note_what_is_left_out()
        self._open: dict[tuple[str, Labels], Firing] = {}

    def run(self, progress: Callable[[int], None] = lambda t_ms: None) -> Replay:
        """The whole replay; `progress` hears how far it came."""
        begin_ms = self._start_ms - (self._warm_up_ms() if self._warm_up is None else self._warm_up)
        self._record(begin_ms - self._deepest_ms(), begin_ms - 1)
        for from_ms, to_ms in self._stretches(begin_ms):
            self._columns.forget()
            self._record(from_ms, to_ms)
            if self._targets is not None:
                self._targets.enter(from_ms - self._longest_offset_ms(), to_ms)
            self._replay(from_ms, to_ms)
            if self._overlay is not None:
                self._overlay.forget_before(to_ms - self._deepest_ms())
            progress(to_ms)
        return self._finished()

    # -- time -----------------------------------------------------------------------------------------------------------

    def _stretches(self, begin_ms: int) -> Iterator[tuple[int, int]]:
        """(after, up to and including), covering the backtest."""
        shortest_ms = min((lane.group.interval_ms for lane in self._lanes), default=60_000)
        after_ms = begin_ms - 1
        while after_ms < self._end_ms:
            to_ms = min(self._end_ms, after_ms + _STRETCH * shortest_ms)
            yield after_ms, to_ms
            after_ms = to_ms

    def _longest_offset_ms(self) -> int:
        return max((lane.group.query_offset_ms for lane in self._lanes), default=0)

    def _warm_up_ms(self) -> int:
        """How long before the start a rule has to run to be in the state it would have been in."""
        longest = 0
        for lane in self._lanes:
            rule, interval_ms = lane.rule, lane.group.interval_ms
            held_ms = max(rule.for_ms, rule.native.hold_n * interval_ms)
            longest = max(longest, held_ms + max(rule.keep_firing_for_ms, rule.native.clear_for_ms) + 10 * interval_ms)
        return min(longest, _LONGEST_WARM_UP_MS)

    def _deepest_ms(self) -> int:
        """How far back an expression may look into what is recorded."""
        if not self._recordings:
            return 0
        exprs = [rule.expr for _, rule in self._recordings] + [lane.rule.expr for lane in self._lanes]
        return max((item.range_ms for expr in exprs for item in selects_of(expr).items), default=0) + _LOOKBACK_MS

    # -- rules ----------------------------------------------------------------------------------------------------------

    def _record(self, after_ms: int, to_ms: int) -> None:
        for group, rule in self._recordings:
            t_ms = slots(group, after_ms, to_ms)
            if not t_ms.size or self._overlay is None:
                continue
            offset_ms = group.query_offset_ms
            try:
                columns = self._columns.fetch(rule.expr, int(t_ms[0]) - offset_ms, int(t_ms[-1]) - offset_ms, group.interval_ms)
                for labels, times, values in samples_of(rule, columns):
                    self._overlay.write(labels, times, values)
            except QueryError as error:
                self._result.errors.setdefault(rule.name, str(error))

    def _replay(self, after_ms: int, to_ms: int) -> None:
        queue: list[tuple[int, int]] = []
        for place, lane in enumerate(self._lanes):
            t_ms = slots(lane.group, after_ms, to_ms)
            self._result.evaluations += t_ms.size
            lane.enter(t_ms, self._columns)
            if lane.next_ms is not None:
                queue.append((lane.next_ms, place))
        heapq.heapify(queue)
        while queue:
            _, place = heapq.heappop(queue)
            lane = self._lanes[place]
            for transition in lane.step(self._around):
                self._note(lane.rule, transition)
            if lane.next_ms is not None:
                heapq.heappush(queue, (lane.next_ms, place))

    def _note(self, rule: AlertRule, transition: Transition) -> None:
        key = (rule.id, transition.labels)
        if fires(transition):
            self._open[key] = Firing(
                rule.id,
                rule.name,
                transition.labels,
                transition.active_at_ms,
                transition.at_ms,
                0,
                transition.value,
                transition.reason,
            )
        elif resolves(transition) and (firing := self._open.pop(key, None)) is not None and transition.at_ms >= self._start_ms:
            self._result.firings.append(replace(firing, resolved_ms=transition.at_ms, reason=transition.reason))

    def _finished(self) -> Replay:
        result = self._result
        result.firings = sorted(
            [*result.firings, *self._open.values()], key=lambda firing: (firing.fired_ms, firing.labels.pairs)
        )
        result.looks = sum(lane.looks for lane in self._lanes)
        result.errors.update({lane.rule.name: lane.error for lane in self._lanes if lane.error})
        return result

    def _note_what_is_left_out(self) -> None:
        left_out = {
            "deploy_grace": any(lane.rule.native.deploy_grace_ms for lane in self._lanes),
            "depends_on": any(lane.rule.native.depends_on for lane in self._lanes),
        }
        for name, used in left_out.items():
            if used:
                self._result.notes.append(f"{name} is not replayed: it could only have made fewer alerts")


def slots(group: RuleGroup, after_ms: int, to_ms: int) -> Int64:
    """The group's evaluation times in (after, to], int64 [n]."""
    first_ms = slot_at(group, after_ms) + group.interval_ms
    return np.arange(first_ms, to_ms + 1, group.interval_ms, dtype=np.int64)
