"""The core's side of checks: results become state, samples, evidence and history.

prober ──results──▶ take ──▶ step (pure) ──▶ samples ──▶ one commit (changes, evidence) ──▶ confirmed, changed
                                 ▲                └──▶ unremarkable ones: one commit a second for all
heartbeat ping ──────────────────┘      silent prober ──▶ unknown
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from tocsin.clock import Clock
from tocsin.collect import check_rows
from tocsin.collect.catalog import check_types
from tocsin.collect.check_rows import Key
from tocsin.collect.check_samples import HELP, write_result, write_state
from tocsin.collect.check_state import blind, initial, overall, paused, resumed, step
from tocsin.collect.heartbeat import kind_of
from tocsin.collect.heartbeats import Heartbeats
from tocsin.collect.reports import ReportId, Reports, load_reports, save_reports, within_bounds
from tocsin.collect.series_writer import SeriesWriter
from tocsin.errors import CommandError
from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.model.check import CheckReason, CheckResult, CheckSpec, CheckState, CheckStatus
from tocsin.model.duration import human_duration
from tocsin.model.event import SYSTEM, Event
from tocsin.model.ports import Changed, SampleWriter
from tocsin.state import events
from tocsin.state.sql import Database

log = get_log("collect.receive")

results_total = Counter("tocsin_collect_results_total", "Check results taken by the core.", ["outcome"])

_TICK_MS = 1_000
_REPUBLISH_MS = 60_000
"""Rules look back five minutes: the state of a rarely run check must be said more often than it changes."""
_AT_ONCE = 25
_KEEP_GOOD_MS = 600_000
_PICTURE = "screenshot"
_KEEP_RUNS_MS = 31 * 86_400_000
_SILENT_GRACE_MS = 60_000


@dataclass(slots=True)
class _Change:
    before: CheckState
    after: CheckStatus


class CheckReceiver:
    """Knows the state of every check. All methods run on the core's loop."""

    def __init__(
        self, *, writer: SampleWriter, db: Database, clock: Clock, changed: Changed, confirmed: Callable[[str], None]
    ) -> None:
        self._writer = writer
        self._series = SeriesWriter(writer)
        self._db = db
        self._clock = clock
        self._changed = changed
        self._confirmed = confirmed
        self._started_ms = clock.now_ms()
        self._specs: dict[str, CheckSpec] = {}
        self._places: dict[Key, CheckStatus] = db.read_now(check_rows.load_statuses)
        self._dirty: dict[Key, CheckResult | None] = {}
        self._reports = Reports(db.read_now(load_reports))
        self._unsaved: tuple[list[_Change], list[CheckResult]] = ([], [])
        """Of commits that failed: they go with the next one."""
        self._published_ms: dict[str, int] = {}
        self._kept_good_ms: dict[Key, int] = {}
        self._kept_picture_ms: dict[Key, int] = {}
        self._pruned_ms = 0
        self._heartbeats = Heartbeats(db, clock)

    # -- what is watched -----------------------------------------------------------------------------------------------

    def apply(self, specs: Sequence[CheckSpec]) -> None:
        """These checks exist from now on. A new one is pending; what is gone ends its series."""
        now_ms = self._clock.now_ms()
        for name, (kind, text) in HELP.items():
            self._writer.set_metadata(name, kind, text)
        old, self._specs = self._specs, {spec.id: spec for spec in specs}
        for spec in old.values():
            new = self._specs.get(spec.id)
            if new is None or (new.labels, new.type, new.target) != (spec.labels, spec.type, spec.target):
                self._end_series(spec, now_ms)
        gone = sorted({check_id for check_id, _ in self._places if check_id not in self._specs})
        for key in [key for key in self._places if key[0] in gone]:
            del self._places[key]
            self._dirty.pop(key, None)
        if gone:
            self._db.write_now(lambda tx: check_rows.forget(tx, gone))
        for spec in specs:
            self._begin(spec, old.get(spec.id), now_ms)
        self._heartbeats.apply(specs)
        self._changed("checks")

    def _begin(self, spec: CheckSpec, before: CheckSpec | None, now_ms: int) -> None:
        for location in spec.locations:
            key = (spec.id, location)
            status = self._places.get(key)
            declared = before is not None and before.paused != spec.paused
            if status is None or (spec.paused and status.state is not CheckState.PAUSED) or (declared and not spec.paused):
                self._places[key] = initial(spec, now_ms)
                self._dirty.setdefault(key, None)
        for key in [key for key in self._places if key[0] == spec.id and key[1] not in spec.locations]:
            del self._places[key]
        self._publish(spec, now_ms)

    def _end_series(self, spec: CheckSpec, now_ms: int) -> None:
        self._series.end(("state", spec.id, ""), now_ms)
        for location in spec.locations:
            self._series.end(("result", spec.id, location), now_ms)

    def plan(self) -> list[CheckSpec]:
        """The specs as the prober should run them: paused where a person paused them."""
        return [replace(spec, paused=self.status(spec.id).state is CheckState.PAUSED) for spec in self._specs.values()]

    def status(self, check_id: str) -> CheckStatus:
        """The state of a check over all places that look at it. Raises KeyError."""
        spec = self._specs[check_id]
        places = [self._places[spec.id, location] for location in spec.locations]
        status = overall(check_id, places, self._clock.now_ms())
        waits = not status.last_ms or check_types()[spec.type].passive
        return replace(status, next_ms=0 if waits else status.last_ms + spec.every_ms)

    def statuses(self) -> dict[str, CheckStatus]:
        return {check_id: self.status(check_id) for check_id in self._specs}

    def last_ms(self) -> int:
        """When any check was last seen; 0 = never."""
        return max((status.last_ms for status in self._places.values()), default=0)

    # -- results -------------------------------------------------------------------------------------------------------

    async def take(self, results: Sequence[CheckResult], report: ReportId | None = None) -> None:
        """Take what a prober saw, in its order. Returns when what matters is committed.

        A report that was taken already (its answer was lost) is not counted again.
        """
        if report is not None and not self._reports.is_news(report):
            return
        skew_ms = self._reports.skew_ms(report, self._clock.now_ms())
        changes: list[_Change] = []
        evidence: list[CheckResult] = []
        touched: dict[Key, CheckResult | None] = {}
        for number, result in enumerate(results, 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # a prober that was cut off brings hundreds: the core's loop must not wait for all
            spec = self._specs.get(result.check_id)
            key = (result.check_id, result.location)
            if spec is None or key not in self._places:
                results_total.inc("unknown_check")
                continue
            believed = within_bounds(result, skew_ms, self._clock.now_ms())
            if believed is None:
                results_total.inc("too_old")
                continue
            result = self._without_picture(key, believed)
            change = self._step(spec, key, result)
            if change:
                changes.append(change)
            touched[key] = result
            if self._is_evidence(key, result) or change:
                evidence.append(result)
            results_total.inc("ok" if result.ok else "unknown" if result.unknown else "failed")
        self._dirty.update(touched)
        if changes or evidence:
            await self._commit(changes, evidence, touched)
        for change in changes:
            self._confirmed(change.after.check_id)
        for check_id in {key[0] for key in touched}:
            self._changed("checks", check_id)

    def _without_picture(self, key: Key, result: CheckResult) -> CheckResult:
        """A page that stays broken looks the same each time: its picture is kept every ten minutes, and for who asked."""
        if _PICTURE not in result.facts or result.manual_by:
            return result
        if result.started_ms - self._kept_picture_ms.get(key, 0) >= _KEEP_GOOD_MS:
            self._kept_picture_ms[key] = result.started_ms
            return result
        return replace(result, facts={name: value for name, value in result.facts.items() if name != _PICTURE})

    def _step(self, spec: CheckSpec, key: Key, result: CheckResult) -> _Change | None:
        before = self.status(spec.id)
        self._places[key] = step(spec, self._places[key], result)
        after = self.status(spec.id)
        at_ms = result.started_ms + round(result.duration_ms)
        write_result(self._series, spec, result, at_ms)
        write_state(self._series, spec, after, at_ms)
        self._published_ms[spec.id] = at_ms
        if before.state is after.state:
            return None
        return _Change(before.state, replace(after, since_ms=at_ms))

    def _is_evidence(self, key: Key, result: CheckResult) -> bool:
        """Failures, manual runs, and a good one now and then."""
        if not result.ok or result.degraded or result.manual_by:
            return True
        if result.started_ms - self._kept_good_ms.get(key, 0) < _KEEP_GOOD_MS:
            return False
        self._kept_good_ms[key] = result.started_ms
        return True

    async def _commit(
        self, changes: list[_Change], evidence: list[CheckResult], touched: Mapping[Key, CheckResult | None]
    ) -> None:
        changes, evidence = [*self._unsaved[0], *changes], [*self._unsaved[1], *evidence]
        self._unsaved = ([], [])
        states = [(key, self._places[key], result) for key, result in touched.items()]

        reports = self._reports.unsaved()

        def work(tx: Connection) -> None:
            save_reports(tx, reports, self._clock.now_ms())
            check_rows.save_statuses(tx, states)
            check_rows.add_runs(tx, evidence)
            for change in changes:
                check_rows.add_change(tx, change.before, change.after)
            events.record(tx, *(self._event(change) for change in changes))

        for key in touched:
            self._dirty.pop(key, None)
        try:
            await self._db.write(work)
        except BaseException:
            self._dirty.update(touched)
            self._reports.not_saved(reports)
            self._unsaved = (changes, evidence)
            raise

    def _event(self, change: _Change) -> Event:
        status = change.after
        spec = self._specs.get(status.check_id)
        text = f"{spec.name if spec else status.check_id}: {change.before.value} -> {status.state.value}. {status.message}"
        data = {"before": change.before.value, "after": status.state.value}
        return Event(status.since_ms, str(SYSTEM), "check_changed", f"check:{status.check_id}", text, data, status.reason.value)

    # -- heartbeats and manual states ----------------------------------------------------------------------------------

    def tokens(self) -> dict[str, str]:
        """The secret part of each heartbeat's URL by check."""
        return self._heartbeats.tokens()

    async def ping(self, token: str, kind: str = "success", body: str = "") -> dict[str, Any]:
        """A call of a heartbeat's URL; answers after the commit. Raises CommandError: 404 unknown token, 400 bad kind."""
        check_id = self._heartbeats.check_of_token(token)
        if check_id is None:
            raise CommandError(404, "unknown_heartbeat", "not found")
        try:
            kind = kind_of(kind or "success")
        except ValueError as error:
            raise CommandError(400, "bad_kind", str(error)) from None
        result = await self._heartbeats.hear(check_id, kind, body)
        if result is not None:
            await self.take([result])
        return {"check": check_id, "kind": kind}

    async def set_manual(self, check_id: str, state: CheckState, message: str, *, by: str) -> CheckStatus:
        """A person says how a manual check is. Raises KeyError; CommandError 409 for a check that is measured."""
        spec = self._specs[check_id]
        if spec.type != "manual" or state not in (CheckState.UP, CheckState.DEGRADED, CheckState.DOWN):
            raise CommandError(409, "not_manual", f"{spec.name} is not a manual check, or {state} cannot be set")
        good = state is not CheckState.DOWN
        result = CheckResult(
            check_id,
            self._clock.now_ms(),
            0.0,
            good,
            CheckReason.MANUAL,
            message or f"set to {state} by {by}",
            degraded=state is CheckState.DEGRADED,
            location=spec.locations[0],
            manual_by=by,
        )
        await self.take([result])
        return self.status(check_id)

    # -- people --------------------------------------------------------------------------------------------------------

    async def pause(self, check_id: str, *, by: str) -> CheckStatus:
        """Raises KeyError for a check that does not exist."""
        return await self._set(check_id, lambda status, now_ms: paused(status, now_ms, by=by))

    async def resume(self, check_id: str) -> CheckStatus:
        return await self._set(check_id, resumed)

    async def _set(self, check_id: str, move: Callable[[CheckStatus, int], CheckStatus]) -> CheckStatus:
        spec, now_ms = self._specs[check_id], self._clock.now_ms()
        before = self.status(check_id)
        for location in spec.locations:
            self._places[check_id, location] = move(self._places[check_id, location], now_ms)
        await self._moved([(spec, before)], now_ms)
        return self.status(check_id)

    async def _moved(self, moved: Sequence[tuple[CheckSpec, CheckStatus]], now_ms: int) -> None:
        """Publish and commit checks whose places were moved by somebody else than a result."""
        changes = []
        for spec, before in moved:
            self._publish(spec, now_ms)
            after = self.status(spec.id)
            if after.state is not before.state:
                changes.append(_Change(before.state, replace(after, since_ms=now_ms)))
        touched = {(spec.id, location): None for spec, _ in moved for location in spec.locations}
        await self._commit(changes, [], touched)
        for change in changes:
            self._confirmed(change.after.check_id)
            self._changed("checks", change.after.check_id)

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Save what is unremarkable, notice silence, say states again. Until cancelled, then save once more."""
        try:
            while True:
                await self._clock.sleep_until_ms(self._clock.now_ms() + _TICK_MS)
                await self.tick()
        finally:
            await asyncio.shield(self._flush())

    async def tick(self) -> None:
        now_ms = self._clock.now_ms()
        await self._flush()
        await self._notice_silence(now_ms)
        await self.take(self._heartbeats.late(self._places))
        for spec in self._specs.values():
            if now_ms - self._published_ms.get(spec.id, 0) >= _REPUBLISH_MS:
                self._publish(spec, now_ms)
        if now_ms - self._pruned_ms > 3_600_000:
            self._pruned_ms = now_ms
            await self._db.write(lambda tx: check_rows.prune_runs(tx, now_ms - _KEEP_RUNS_MS))

    async def _flush(self) -> None:
        if self._dirty or self._unsaved[0]:
            await self._commit([], [], dict(self._dirty))

    async def _notice_silence(self, now_ms: int) -> None:
        """A prober that says nothing leaves its checks unknown, not as they were."""
        silent = []
        for spec in self._specs.values():
            if check_types()[spec.type].passive:
                continue
            patience_ms = 2 * spec.every_ms + spec.timeout_ms + _SILENT_GRACE_MS
            quiet = {place: ms for place in spec.locations if (ms := self._quiet_ms(spec, place, now_ms)) > patience_ms}
            if quiet:
                silent.append((spec, self.status(spec.id)))
            for place, quiet_ms in quiet.items():
                text = f"no result from {place} for {human_duration(quiet_ms)}"
                self._places[spec.id, place] = blind(self._places[spec.id, place], now_ms, text)
        if silent:
            log.warning("checks are unknown: the prober is silent", checks=len(silent))
            await self._moved(silent, now_ms)

    def _quiet_ms(self, spec: CheckSpec, place: str, now_ms: int) -> int:
        """How long a place has said nothing; 0 where nothing is expected of it."""
        status = self._places[spec.id, place]
        if status.state in (CheckState.UNKNOWN, CheckState.PAUSED):
            return 0
        return now_ms - max(status.last_ms, status.since_ms, self._started_ms)

    def _publish(self, spec: CheckSpec, now_ms: int) -> None:
        write_state(self._series, spec, self.status(spec.id), now_ms)
        self._published_ms[spec.id] = now_ms


def result_of(values: Mapping[str, Any]) -> CheckResult:
    """A result as it crosses the bus (JSON of the dataclass) back to a value. Raises KeyError, TypeError, ValueError."""
    from tocsin.model.check import Phase

    fields = dict(values)
    fields["reason"] = CheckReason(fields["reason"])
    fields["phases"] = tuple(Phase(str(phase["name"]), float(phase["ms"])) for phase in fields.get("phases", ()))
    fields["samples"] = tuple((str(name), dict(labels), float(value)) for name, labels, value in fields.get("samples", ()))
    return CheckResult(**fields)
