"""The escalator: takes pages, executes what is due, obeys commands. Nothing it has decided lives only in memory.

dispatcher ──receive_page(tx)──▶ incident + outbox rows ◀──command()── person
                                   ▲
           run(): next_escalation_at_ms, timers
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.clock import Clock, until_woken
from tocsin.errors import CommandError, StateError
from tocsin.incidents import affected, commands, due, flapping, intake, rows, subscribers, undelivered
from tocsin.incidents.audit import audit
from tocsin.incidents.changes import Muted
from tocsin.incidents.incident import TIMER_CHANGES
from tocsin.incidents.ledger import Ledger
from tocsin.incidents.oncall import Override
from tocsin.incidents.people import Directory
from tocsin.incidents.why import incident_row
from tocsin.log import get_log
from tocsin.metrics import Gauge
from tocsin.model.alert import Page
from tocsin.model.event import Actor
from tocsin.model.incident import IncidentState
from tocsin.model.notification import Notification, NotificationKind
from tocsin.model.ports import Changed, Random
from tocsin.state.muted import muted
from tocsin.state.schema import timers
from tocsin.state.sql import Database
from tocsin.state.steps import Steps

log = get_log("incidents")

_LONGEST_NAP_MS = 30_000
_FAR_MS = 2**62
_AFTER_ERROR_MS = 2_000
_MOST_AT_ONCE = 200
_AUDIT_EVERY_MS = 60_000

audit_findings = Gauge(
    "tocsin_auditor_findings", "Open incidents without a future and messages without a sender, at the last look."
)
incidents_by_state = Gauge("tocsin_incidents", "Incidents that are open.", ["state"])


class Escalator:
    """Owns the incidents. `run()` belongs to one task; `receive_page` and `undelivered` run in other stages' transactions."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        changed: Changed,
        wake_notify: Callable[[], None],
        random: Random,
        directory: Directory | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._changed = changed
        self._wake_notify = wake_notify
        self._random = random
        self._directory = directory or Directory()
        self._touched: set[int] = set()
        self._audited_ms = 0
        self._steps = Steps(clock, "incidents")
        self.looked_ms = 0
        """When what is due was last looked at."""
        self._lock = threading.Lock()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def apply(self, directory: Directory) -> None:
        """Use new people, policies and schedules. Open incidents keep the policy they began with."""
        self._directory = directory
        self.wake()

    # -- in other stages' transactions --

    def receive_page(self, tx: Connection, page: Page, now_ms: int) -> None:
        """The dispatcher's `PageSink`: incident, timeline, timers and outbox rows join its transaction."""
        ledger = self._ledger(tx, now_ms)
        intake.receive(ledger, page)
        self._remember(ledger)

    def undelivered(self, tx: Connection, note: Notification, why: str, now_ms: int) -> None:
        """The deliverer's cry: this page failed, or nobody has accepted it for too long; or a visitor's webhook is gone."""
        if note.kind is NotificationKind.PUBLISHED:
            subscribers.gone(tx, note, now_ms)
            return
        ledger = self._ledger(tx, now_ms)
        undelivered.fall_back(ledger, note, why)
        self._remember(ledger)
        self.wake()

    # -- the loop --

    async def run(self) -> None:
        """Execute due steps and timers for ever."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            try:
                next_ms = await self.step()
            except (StateError, sa.exc.SQLAlchemyError) as error:
                log.error("cannot execute what is due", error=str(error))
                next_ms = self._clock.now_ms() + _AFTER_ERROR_MS
            self._hint()
            await until_woken(self._clock, self._woken, min(next_ms, self._clock.now_ms() + _LONGEST_NAP_MS))

    async def step(self) -> int:
        """Execute everything that is due now, in one transaction; returns when to look next (ms)."""
        return await self._db.write(self._execute_due)

    def wake(self) -> None:
        """Look again now. From any thread."""
        loop = self._loop
        if loop is None or loop.is_closed():
            self._woken.set()
        else:
            loop.call_soon_threadsafe(self._woken.set)

    def _execute_due(self, tx: Connection) -> int:
        """Run everything that is due; returns when to look again."""
        now_ms = self._clock.now_ms()
        ledger = self._ledger(tx, now_ms)
        self._hush(ledger)
        flapping.tell_of_alerts(ledger)
        affected.tell(ledger)
        self._fire_timers(ledger)
        self._run_steps(ledger)
        if not 0 <= now_ms - self._audited_ms < _AUDIT_EVERY_MS:
            self._audited_ms = now_ms
            self._audit(ledger)
        self._count(tx)
        self._remember(ledger)
        self.looked_ms = now_ms
        return _next_due(tx)

    def _count(self, tx: Connection) -> None:
        counts = {row.state: int(row.n) for row in due.COUNTS.all(tx, states=list(rows.OPEN))}
        for state in rows.OPEN:
            incidents_by_state.set(counts.get(state, 0), state)

    def _audit(self, ledger: Ledger) -> None:
        """Look for what the code above must never leave behind; page anew where an escalation was lost."""
        findings = audit(ledger.tx, ledger.now_ms)
        audit_findings.set(len(findings))
        for finding in findings:
            log.error("auditor", incident=finding.incident, finding=finding.text)
            if finding.repair:
                incident = rows.load(ledger.tx, finding.incident)
                ledger.record(incident, "repaired", f"the auditor found: {finding.text}; paging starts anew", cause="auditor")
                lost = replace(incident, state=IncidentState.TRIGGERED, step=0, loop=0, next_escalation_at_ms=ledger.now_ms)
                ledger.run_due_steps(rows.save(ledger.tx, lost))

    def _hush(self, ledger: Ledger) -> None:
        """Stop paging for incidents whose every alert was silenced or inhibited since: no page comes to say so."""
        for number, by in muted(ledger.tx, [row.number for row in due.TRIGGERED.all(ledger.tx)]).items():
            # The children of a merged family are looked at one by one; a leader with audible children goes on.
            if set(muted(ledger.tx, family := rows.family(ledger.tx, number))) >= set(_firing(ledger.tx, family)):
                ledger.change(rows.load(ledger.tx, number), Muted(by))

    def _fire_timers(self, ledger: Ledger) -> None:
        for row in due.TIMERS.all(ledger.tx, now=ledger.now_ms, most=_MOST_AT_ONCE):
            deleted = ledger.tx.execute(sa.delete(timers).where(timers.c.id == row.id)).rowcount
            change = TIMER_CHANGES.get(row.kind)
            number = int(row.subject.removeprefix("incident:"))
            # A timer that an earlier one of this pass stopped is gone already.
            if deleted and change is not None:
                ledger.change(rows.load(ledger.tx, number), change)
            elif deleted and row.kind == flapping.TIMER:
                flapping.settle(ledger, rows.load(ledger.tx, number))

    def _run_steps(self, ledger: Ledger) -> None:
        for row in due.STEPS.all(ledger.tx, now=ledger.now_ms, most=_MOST_AT_ONCE):
            ledger.run_due_steps(rows.of_row(row))

    # -- commands --

    async def command(self, name: str, args: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Execute `incident.<name>`; answers the incident's row (ui/src/lib/api.ts IncidentRow). Raises CommandError."""
        name = name.removeprefix("incident.")

        def work(tx: Connection) -> dict[str, Any]:
            ledger = self._ledger(tx, self._clock.now_ms())
            incident = commands.run(ledger, name, args, actor)
            self._remember(ledger)
            row = incident_row(tx, incident.number, ledger.directory)
            assert row is not None
            return row

        try:
            answer = await self._db.write(work)
        except StateError as error:
            raise CommandError(503, "state_unavailable", str(error)) from error
        self._hint()
        self.wake()
        return answer

    # -- shared --

    def _ledger(self, tx: Connection, now_ms: int) -> Ledger:
        """What a transaction writes with. Whoever comes first after a step of the clock moves what waits."""
        if moved_ms := self._steps.missing(tx):
            log.warning("the clock was moved, escalations move along", step_ms=moved_ms)
            due.follow_clock(tx, moved_ms)
        return Ledger(tx=tx, directory=self.directory_at(tx, now_ms), now_ms=now_ms, random=self._random)

    def directory_at(self, tx: Connection, now_ms: int) -> Directory:
        """The directory with the schedule overrides that people entered in the dashboard."""
        found: dict[str, list[Override]] = {}
        for row in due.OVERRIDES.all(tx, now=now_ms):
            found.setdefault(row.schedule, []).append(override_of(row))
        if not found:
            return self._directory
        schedules = {
            name: replace(schedule, overrides=(*schedule.overrides, *found.get(name, ())))
            for name, schedule in self._directory.schedules.items()
        }
        return replace(self._directory, schedules=schedules)

    def _remember(self, ledger: Ledger) -> None:
        with self._lock:
            self._touched |= ledger.touched

    def _hint(self) -> None:
        """After a commit: say what changed, and that there may be something to send."""
        with self._lock:
            touched, self._touched = self._touched, set()
        for number in sorted(touched):
            self._changed("incidents", f"incident:{number}")
        if touched:
            self._changed("notifications")
            self._changed("overview")
            self._wake_notify()


def override_of(row: Any) -> Override:
    """A row of `schedule_overrides` as a value."""
    source, target = row.data.get("from", ""), row.data.get("to", "")
    return Override(row.start_ms, row.end_ms, row.mode or "set", tuple(row.users), source, target, row.id)


def _firing(tx: Connection, numbers: list[int]) -> set[int]:
    return {row.incident for row in rows.alert_rows(tx, numbers) if not row.ends_at_ms}


def _next_due(tx: Connection) -> int:
    step, timer = due.SOONEST.first(tx)
    return min([t for t in (step, timer) if t is not None], default=_FAR_MS)
