"""The loop of the rules stage: evaluates every group in time, keeps states, hands alerts on.

    due group ──rules thread──▶ queries, step ──loop──▶ samples appended, one transaction (states + intake) ──▶ wake

Evaluations stand on the group's own phase of the wall clock. A slot that was missed is skipped, never made up; time in
which nobody looked (a pause, a restart, a step of the clock) counts for no `for` and resolves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tocsin.clock import Clock, until_woken
from tocsin.errors import StateError, StoreError
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge, Histogram
from tocsin.model.alert import AlertPhase, AlertReason, AlertState
from tocsin.model.labels import EMPTY_LABELS, Labels
from tocsin.model.ports import Changed, Queryable, SampleReader, SampleWriter
from tocsin.model.rule import AlertRule, RecordingRule, RuleGroup
from tocsin.rules import keep
from tocsin.rules.blindness import Sight
from tocsin.rules.change import Change, Changes, Kept
from tocsin.rules.group import GroupRun, Outcome, RuleRun, Surroundings, batch_of, farewell, nobody_blind
from tocsin.rules.shown import shown_alerts, shown_groups
from tocsin.rules.slots import next_slot, slot_at
from tocsin.rules.waiting import Holds
from tocsin.state.sql import Database

log = get_log("rules")

DURATION = Histogram("tocsin_rule_evaluation_duration_seconds", "Time one group evaluation took.")
LAG = Gauge("tocsin_rule_evaluation_lag_seconds", "How late the last group evaluation started.")
EVALUATIONS = Counter("tocsin_rule_evaluations_total", "Rule evaluations.")
FAILURES = Counter("tocsin_rule_evaluation_failures_total", "Rule evaluations that failed.")
MISSED = Counter("tocsin_rule_group_iterations_missed_total", "Group evaluations skipped because they were late.")
FLAPPING = Counter("tocsin_alerts_flapping_total", "Alerts of native rules that began to flap.")
UNSAVED = Gauge("tocsin_rule_unsaved_changes", "Alert changes waiting for the state database.")

_REFRESH_MS = 180_000
"""Values of firing alerts are written this often; what a restart must know exactly is written at once."""
_REFRESH_PENDING_MS = 30_000
_NAP_MS = 5_000
"""The wall clock may step: look at it again at least this often."""
_CLOCK_STEP_MS = 1_500


@dataclass(slots=True)
class _Scheduled:
    """A group with its place in time."""

    run: GroupRun
    next_ms: int
    lock: asyncio.Lock
    wall_ms: int = 0
    monotonic_s: float = 0.0
    saved_ms: int = 0


_Done = tuple[list[Outcome], list[Change]]


class Evaluator:
    """Evaluates rule groups against a store. One per core."""

    def __init__(
        self,
        *,
        db: Database,
        queryable: Queryable,
        writer: SampleWriter,
        clock: Clock,
        changed: Changed,
        wake: Callable[[], None],
        external_url: str = "",
        external_labels: Mapping[str, str] = EMPTY_LABELS,
        reader: SampleReader | None = None,
        inline: bool = False,
    ) -> None:
        """`reader` tells blind targets from healthy ones; without it no target is known to be blind.

        `inline` evaluates on the caller's thread (simulation, tests).
        """
        self._db = db
        self._writer = writer
        self._clock = clock
        self._changed = changed
        self._wake = wake
        self._changes = Changes(external_url, external_labels)
        self._sight = Sight(reader) if reader is not None else None
        unsighted = self._sight.unsighted if self._sight is not None else nobody_blind
        self._holds = Holds()
        self._around = Surroundings(
            queryable, external_url, external_labels, unsighted, self._holds.hold, monotonic_s=clock.monotonic_s
        )
        self._deploys_read_ms = 0
        self._thread = None if inline else ThreadPoolExecutor(1, thread_name_prefix="rules")
        self._groups: dict[str, _Scheduled] = {}
        self._kept: dict[str, dict[Labels, Kept]] | None = None
        self._last_seen: dict[str, int] = {}
        self._farewells: list[Outcome] = []
        self._unsaved: list[Change] = []
        self._reloaded = asyncio.Event()
        self._ready = asyncio.Event()

    # -- configuration ------------------------------------------------------------------------------------------------

    def apply(self, groups: Iterable[RuleGroup]) -> None:
        """Replace all groups. A rule that stays the same rule (its id) keeps its state; alerts of a removed one end."""
        now_ms = self._clock.now_ms()
        old_runs = {run.rule.id: run for scheduled in self._groups.values() for run in scheduled.run.runs}
        new: dict[str, _Scheduled] = {}
        strangers: list[RuleRun] = []
        for group in groups:
            run = GroupRun(group)
            for rule_run in run.runs:
                old = old_runs.pop(rule_run.rule.id, None)
                if old is not None:
                    _inherit(rule_run, old)
                else:
                    strangers.append(rule_run)
            before = self._groups.get(group.key)
            next_ms = next_slot(group, now_ms)
            if before is not None and before.run.group.interval_ms == group.interval_ms:
                new[group.key] = replace(before, run=run)
            else:
                new[group.key] = _Scheduled(run, next_ms, asyncio.Lock())
        for old in old_runs.values():
            self._adopt(old.states, old.rule.name, strangers)
            self._farewells.append(farewell(old, AlertReason.RULE_REMOVED, now_ms))
        self._groups = new
        runs = [run for scheduled in new.values() for run in scheduled.run.runs]
        self._holds.apply(runs)
        if self._sight is not None:
            self._sight.recorded = {run.rule.name: run.selects for run in runs if isinstance(run.rule, RecordingRule)}
        self._reloaded.set()

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Evaluate for ever. Restores the states of the last run first, once the rules are known."""
        await self._reloaded.wait()
        await self._restore()
        while True:
            self._reloaded.clear()
            await self._say_farewell()
            now_ms = self._clock.now_ms()
            for scheduled in self._due(now_ms):
                await self._pass(scheduled, slot_at(scheduled.run.group, self._clock.now_ms()))
                scheduled.next_ms = next_slot(scheduled.run.group, max(scheduled.wall_ms, self._clock.now_ms()))
            self._ready.set()
            await self._sleep()

    async def ready(self) -> None:
        """Returns once the states are restored and every group that was due has been evaluated."""
        await self._ready.wait()

    async def evaluate_check(self, check_id: str) -> None:
        """Evaluate at once the rules derived from this check; called when its state is confirmed."""
        if self._kept is None:
            return
        for scheduled in list(self._groups.values()):
            runs = [run for run in scheduled.run.runs if isinstance(run.rule, AlertRule) and run.rule.check_id == check_id]
            if runs:
                await self._pass(scheduled, self._clock.now_ms(), runs)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=True)

    def _due(self, now_ms: int) -> list[_Scheduled]:
        """Groups whose slot has come, longest overdue first. A clock that went back makes every group look again."""
        due = [
            scheduled
            for scheduled in self._groups.values()
            if scheduled.next_ms <= now_ms or scheduled.next_ms - now_ms > scheduled.run.group.interval_ms + _CLOCK_STEP_MS
        ]
        return sorted(due, key=lambda scheduled: scheduled.next_ms)

    async def _sleep(self) -> None:
        now_ms = self._clock.now_ms()
        until_ms = min((scheduled.next_ms for scheduled in self._groups.values()), default=now_ms + _NAP_MS)
        await until_woken(self._clock, self._reloaded, min(until_ms, now_ms + _NAP_MS))

    async def _restore(self) -> None:
        if self._kept is not None:
            return
        self._look_anew(self._clock.now_ms())
        self._kept = await self._db.read(keep.load)
        self._last_seen = await self._db.read(keep.last_evaluations)
        runs = [run for scheduled in self._groups.values() for run in scheduled.run.runs]
        wanted = {run.rule.id for run in runs}
        strangers = [run for run in runs if run.rule.id not in self._kept]
        for scheduled in self._groups.values():
            _give_back(scheduled.run, self._kept, self._last_seen.get(scheduled.run.group.key, 0), self._clock.now_ms())
        now_ms = self._clock.now_ms()
        for rule_id, kept in self._kept.items():
            states = _states(kept)
            if rule_id not in wanted:
                self._adopt(states, next(iter(states)).get("alertname"), strangers)
            if rule_id not in wanted and states:
                self._farewells.append(_orphaned(rule_id, states, now_ms))

    def _adopt(self, states: dict[Labels, AlertState], name: str, strangers: list[RuleRun]) -> None:
        """Move the states of a rule that is gone to the one new rule of its name: the file was renamed, the group, the labels.

        Empties `states` where it does; the rows under the old identity go with the next write.
        """
        heirs = [run for run in strangers if run.rule.name == name and isinstance(run.rule, AlertRule)]
        if len(heirs) != 1 or not states:
            return
        (heir,) = heirs
        strangers.remove(heir)
        heir.states = {labels: replace(state, rule_id=heir.rule.id) for labels, state in states.items()}
        saved = tuple(self._changes.kept(heir, state) for state in heir.states.values())
        self._unsaved.append(Change(saved=saved, removed=tuple(states.values())))
        states.clear()

    async def _say_farewell(self) -> None:
        outcomes, self._farewells = self._farewells, []
        if outcomes:
            self._append(outcomes)
            await self._save([self._changes.of(outcome) for outcome in outcomes], {}, self._clock.now_ms())

    async def _pass(self, scheduled: _Scheduled, t_ms: int, runs: Sequence[RuleRun] | None = None) -> None:
        """One evaluation of a group, or of some of its rules."""
        async with scheduled.lock:
            group = scheduled.run.group
            started_s = self._clock.monotonic_s()
            if runs is None:
                LAG.set((self._clock.now_ms() - t_ms) / 1000)
                self._account_for_time(scheduled)
            # An evaluation never goes back in time: neither behind an immediate one, nor with a clock that was set back.
            todo = [run for run in (scheduled.run.runs if runs is None else runs) if run.evaluated_ms < t_ms]
            await self._look_for_deploys(scheduled, t_ms)
            changes: list[Change] = []
            for stretch in scheduled.run.segments(todo):
                done, wanted = await self._on_thread(partial(self._evaluate, scheduled.run, stretch, t_ms))
                self._append(done)
                changes += wanted
            EVALUATIONS.inc(by=len(todo))
            FAILURES.inc(by=sum(1 for run in todo if run.error))
            if runs is None:
                DURATION.observe(self._clock.monotonic_s() - started_s)
            evaluated = self._refresh(scheduled, t_ms)
            if evaluated:
                moved = {(one.state.rule_id, one.state.labels) for change in changes for one in change.saved}
                others = (self._changes.kept(run, state) for run in todo for state in run.states.values())
                unmoved = (one for one in others if (one.state.rule_id, one.state.labels) not in moved)
                changes.append(Change(saved=tuple(unmoved)))
            elif changes:
                evaluated = {group.key: t_ms}
            await self._save(changes, evaluated, t_ms)

    def _evaluate(self, group: GroupRun, stretch: Sequence[RuleRun], t_ms: int) -> _Done:
        """On the rules thread: a stretch of a group, and what it wants kept."""
        outcomes = group.evaluate(stretch, t_ms, self._around)
        return outcomes, [change for outcome in outcomes if not (change := self._changes.of(outcome)).empty]

    async def _look_for_deploys(self, scheduled: _Scheduled, t_ms: int) -> None:
        """Deploy markers, for groups whose rules wait after a deploy."""
        rules = [run.rule for run in scheduled.run.runs if isinstance(run.rule, AlertRule)]
        longest_ms = max((rule.native.deploy_grace_ms for rule in rules), default=0)
        if longest_ms and abs(t_ms - self._deploys_read_ms) >= _NAP_MS:
            self._holds.deploys = await self._db.read(partial(keep.last_deploys, since_ms=t_ms - longest_ms))
            self._deploys_read_ms = t_ms

    def _account_for_time(self, scheduled: _Scheduled) -> None:
        """Take unobserved time, and what a clock step adds, out of every duration."""
        wall_ms, monotonic_s = self._clock.now_ms(), self._clock.monotonic_s()
        interval_ms = scheduled.run.group.interval_ms
        if scheduled.wall_ms:
            passed_ms = round((monotonic_s - scheduled.monotonic_s) * 1000)
            stepped_ms = wall_ms - scheduled.wall_ms - passed_ms
            missed_ms = passed_ms - interval_ms if passed_ms > 2.5 * interval_ms else 0
            gap_ms = missed_ms + (stepped_ms if abs(stepped_ms) > _CLOCK_STEP_MS else 0)
            if gap_ms:
                log.warning(
                    "evaluations resume after a gap",
                    group=scheduled.run.group.name,
                    unobserved_ms=missed_ms,
                    clock_step_ms=stepped_ms,
                )
                MISSED.inc(by=max(0, missed_ms // interval_ms))
                scheduled.run.resume(gap_ms)
                self._look_anew(wall_ms)
        scheduled.wall_ms, scheduled.monotonic_s = wall_ms, monotonic_s

    def _look_anew(self, now_ms: int) -> None:
        if self._sight is not None:
            self._sight.resumed_ms = now_ms

    async def _on_thread(self, work: Callable[[], _Done]) -> _Done:
        if self._thread is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _append(self, outcomes: Sequence[Outcome]) -> None:
        batch = batch_of(outcomes)
        if batch is None:
            return
        try:
            result = self._writer.append(batch)
            if result.refused:
                log.warning("rule results refused by the store", refused=dict(result.refused))
        except StoreError as error:  # a full disk must not stop paging
            log.error("rule results not stored", error=str(error))

    # -- keeping ------------------------------------------------------------------------------------------------------

    def _refresh(self, scheduled: _Scheduled, t_ms: int) -> dict[str, int]:
        """The group's note of its last evaluation, when it is time to write one."""
        phases = {state.phase for run in scheduled.run.runs for state in run.states.values()}
        if not phases:
            return {}
        pause_ms = _REFRESH_PENDING_MS if AlertPhase.PENDING in phases else _REFRESH_MS
        if 0 <= t_ms - scheduled.saved_ms < pause_ms:
            return {}
        scheduled.saved_ms = t_ms
        return {scheduled.run.group.key: t_ms}

    async def _save(self, changes: Sequence[Change], evaluated: Mapping[str, int], t_ms: int) -> None:
        """One transaction: states that moved, alerts for the dispatcher, and (now and then) what merely grew older."""
        FLAPPING.inc(by=sum(change.began_to_flap for change in changes))
        self._unsaved += changes
        if not self._unsaved and not evaluated:
            return
        waiting = list(self._unsaved)
        try:
            await self._db.write(lambda tx: keep.save(tx, waiting, evaluated, t_ms))
        except (StateError, SQLAlchemyError) as error:
            # The decision stays: it goes out with the next evaluation that can be written.
            UNSAVED.set(len(self._unsaved))
            log.error("alert changes not saved, will try again", error=str(error), changes=len(waiting))
            return
        del self._unsaved[: len(waiting)]
        UNSAVED.set(len(self._unsaved))
        alerts = [alert for change in waiting for alert in change.alerts]
        if alerts:
            self._wake()
        for alert in alerts[:100]:
            self._changed("alerts", alert.fingerprint)

    # -- for the API --------------------------------------------------------------------------------------------------

    def last_evaluation_ms(self) -> int:
        """When any rule was last evaluated; 0 = never."""
        return max((run.evaluated_ms for scheduled in self._groups.values() for run in scheduled.run.runs), default=0)

    def has_rule(self, name: str) -> bool:
        """Whether an alerting rule of that name is evaluated."""
        runs = (run for scheduled in self._groups.values() for run in scheduled.run.runs)
        return any(run.rule.name == name and isinstance(run.rule, AlertRule) for run in runs)

    def state(self) -> dict[str, Any]:
        """`{"groups": [...], "alerts": [...]}` in the shapes of Prometheus's /api/v1/rules and /api/v1/alerts."""
        runs = [scheduled.run for scheduled in self._groups.values()]
        return {"groups": shown_groups(runs), "alerts": shown_alerts(runs)}


def _states(kept: Mapping[Labels, Kept]) -> dict[Labels, AlertState]:
    return {labels: one.state for labels, one in kept.items()}


def _inherit(new: RuleRun, old: RuleRun) -> None:
    new.states, new.flaps, new.written = old.states, old.flaps, old.written
    new.evaluated_ms, new.unobserved_ms = old.evaluated_ms, old.unobserved_ms
    new.error, new.duration_s = old.error, old.duration_s


def _give_back(run: GroupRun, kept: Mapping[str, Mapping[Labels, Kept]], last_ms: int, now_ms: int) -> None:
    """Put states of the last process back. The time since its last evaluation was observed by nobody."""
    for rule_run in run.runs:
        mine = kept.get(rule_run.rule.id, {})
        rule_run.states = _states(mine)
        rule_run.flaps = {labels: one.flap for labels, one in mine.items() if one.flap is not None}
        rule_run.evaluated_ms = 0
    # A group's note may be older than its states: it had another key for a while (its file was renamed and renamed back).
    seen_ms = max([last_ms, *(state.last_true_ms for one in run.runs for state in one.states.values())])
    # A clock that was set back meanwhile has seen the future: what a rule holds goes on from where it was all the same.
    if seen_ms:
        run.resume(now_ms - seen_ms)


def _orphaned(rule_id: str, states: dict[Labels, AlertState], now_ms: int) -> Outcome:
    """States kept under a rule that no longer exists: it was removed while nobody ran."""
    rule = AlertRule(rule_id, "", next(iter(states)).get("alertname"), "vector(0)")
    gone = GroupRun(RuleGroup("", "", 60_000, (rule,))).runs[0]
    gone.states = states
    return farewell(gone, AlertReason.RULE_REMOVED, now_ms)
