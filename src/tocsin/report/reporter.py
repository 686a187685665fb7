"""Makes reports: by the calendar, each once, mailed through the outbox; and when somebody asks.

timers (kind report) ──due──▶ facts of two periods ──▶ compute ──one transaction──▶ reports row, outbox rows, next timer
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.clock import Clock, until_woken
from tocsin.errors import CommandError, StateError
from tocsin.incidents.notices import lines_payload, to_person, to_place
from tocsin.incidents.people import Directory
from tocsin.log import get_log
from tocsin.model.event import SYSTEM, Actor, Event
from tocsin.model.notification import Notification
from tocsin.model.ports import Changed, Random
from tocsin.promql.engine import Engine
from tocsin.report.compute import compute
from tocsin.report.facts import gather
from tocsin.report.html import Page
from tocsin.report.plan import ReportPlan, ReportSettings, next_due, period
from tocsin.state import events, outbox
from tocsin.state.schema import reports, timers
from tocsin.state.sql import Database

log = get_log("report")

KIND = "report"
_LONGEST_NAP_MS = 300_000
_AFTER_ERROR_MS = 60_000
_LONGEST_MS = 366 * 86_400_000
_LEAST_MS = 60_000
_SHOWN = 200


class Reporter:
    """`run()` belongs to one task; `make`, `listed` and `get` answer commands."""

    def __init__(
        self, *, db: Database, engine: Engine, clock: Clock, random: Random, changed: Changed, wake_notify: Callable[[], None]
    ) -> None:
        self._db = db
        self._engine = engine
        self._clock = clock
        self._random = random
        self._changed = changed
        self._wake_notify = wake_notify
        self._settings = ReportSettings()
        self._directory = Directory()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def apply(self, settings: ReportSettings, directory: Directory) -> None:
        self._settings, self._directory = settings, directory
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._woken.set)

    # -- the loop --

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            now_ms = self._clock.now_ms()
            try:
                next_ms = await self.look()
            except (StateError, sa.exc.SQLAlchemyError) as error:
                log.error("cannot make reports", error=str(error))
                next_ms = now_ms + _AFTER_ERROR_MS
            await until_woken(self._clock, self._woken, min(next_ms, now_ms + _LONGEST_NAP_MS))

    async def look(self) -> int:
        """Make every report that is due; returns when the next one is."""
        due = await self._db.write(self._timers)
        now_ms = self._clock.now_ms()
        for plan, due_ms in due:
            if due_ms <= now_ms:
                await self._make_due(plan, due_ms)
        return min(
            (due_ms if due_ms > now_ms else next_due(plan, now_ms) for plan, due_ms in due), default=now_ms + _LONGEST_NAP_MS
        )

    def _timers(self, tx: Connection) -> list[tuple[ReportPlan, int]]:
        """Each plan with its timer, which is made or corrected here. Reports that are too old are forgotten by the way."""
        now_ms = self._clock.now_ms()
        if self._settings.keep_ms:
            _forget(tx, now_ms - self._settings.keep_ms)
        kept = {row.subject: row for row in tx.execute(sa.select(timers).where(timers.c.kind == KIND))}
        wanted = {f"report:{plan.name}": plan for plan in self._settings.plans}
        for subject in kept.keys() - wanted.keys():
            tx.execute(sa.delete(timers).where(timers.c.id == kept[subject].id))
        found = []
        for subject, plan in wanted.items():
            row, when = (
                kept.get(subject),
                {"every": plan.every, "day": plan.weekday, "minute": plan.minute, "zone": plan.time_zone},
            )
            if row is not None and row.data == when:
                found.append((plan, int(row.due_at_ms)))
                continue
            due_ms = next_due(plan, now_ms)
            tx.execute(sa.delete(timers).where(timers.c.subject == subject))
            tx.execute(sa.insert(timers).values(due_at_ms=due_ms, kind=KIND, subject=subject, version=0, data=when))
            found.append((plan, due_ms))
        return found

    async def _make_due(self, plan: ReportPlan, due_ms: int) -> None:
        start_ms, end_ms = period(plan, due_ms)
        report = await self._computed(start_ms, end_ms, plan.title or f"Report of the {plan.every}")

        def work(tx: Connection) -> int:
            now_ms = self._clock.now_ms()
            here = (timers.c.subject == f"report:{plan.name}", timers.c.due_at_ms == due_ms)
            if not tx.execute(sa.update(timers).where(*here).values(due_at_ms=next_due(plan, now_ms))).rowcount:
                return 0  # Somebody was first, or the plan was changed meanwhile.
            number = _keep(tx, plan.name, report, SYSTEM, now_ms)
            outbox.enqueue(tx, self._mails(tx, plan, report, number, now_ms))
            return number

        if await self._db.write(work):
            log.info("report made", report=plan.name)
            self._wake_notify()
            self._changed("reports")

    def _mails(self, tx: Connection, plan: ReportPlan, report: dict[str, Any], number: int, now_ms: int) -> list[Notification]:
        ids = outbox.new_ids(tx, now_ms=now_ms, random=self._random)
        link = f"{self._directory.external_url}/reports/{number}"
        html = Page(styled=True, time_zone=plan.time_zone).whole(report, link=link)
        payload = {**lines_payload(report["title"], [*report["summary"], f"The whole report: {link}"]), "html": html}
        key, reason = f"report/{plan.name}/{report['end_ms']}", f"reader of the report {plan.name}"
        notes: list[Notification] = []
        for name in plan.to:
            person = self._directory.persons.get(name)
            if person is not None:
                notes += to_person(person, ids, key=key, payload=payload, reason=reason, now_ms=now_ms)
            else:
                notes += to_place(name, self._directory, ids, key=key, payload=payload, reason=reason, now_ms=now_ms)
        return notes

    # -- asked for --

    async def make(self, start_ms: int, end_ms: int, *, title: str, actor: Actor, keep: bool) -> dict[str, Any]:
        """A report of [start, end) against the same time before; `id` 0 when it is not kept. Raises CommandError 422."""
        if not _LEAST_MS <= end_ms - start_ms <= _LONGEST_MS or start_ms < 0:
            raise CommandError(422, "bad_time", "until: must be after `from`, by a minute at least and a year at most")
        report = await self._computed(start_ms, end_ms, title or "Report")
        number = 0
        if keep:
            number = await self._db.write(lambda tx: _keep(tx, "asked", report, actor, self._clock.now_ms()))
            self._changed("reports")
        return {"id": number, **report}

    async def listed(self) -> list[dict[str, Any]]:
        """The newest reports without their figures."""
        return await self._db.read(_list)

    async def get(self, number: int) -> dict[str, Any]:
        """Raises CommandError 404."""
        row = await self._db.read(lambda tx: tx.execute(sa.select(reports).where(reports.c.id == number)).first())
        if row is None:
            raise CommandError(404, "not_found", f"there is no report {number}")
        return {"id": row.id, "name": row.name, "created_by": row.created_by, **row.data}

    async def _computed(self, start_ms: int, end_ms: int, title: str) -> dict[str, Any]:
        """Reads and computes in a thread: seconds for many checks."""
        settings, created_ms = self._settings, self._clock.now_ms()

        def work(tx: Connection) -> dict[str, Any]:
            now = gather(tx, self._engine, settings, start_ms, end_ms)
            before = gather(tx, self._engine, settings, 2 * start_ms - end_ms, start_ms)
            return compute(settings, now, before, title=title, created_ms=created_ms)

        return await self._db.read(work)


def _keep(tx: Connection, name: str, report: dict[str, Any], actor: Actor, now_ms: int) -> int:
    values = {"name": name, "start_ms": report["start_ms"], "end_ms": report["end_ms"], "created_ms": now_ms}
    key = tx.execute(sa.insert(reports).values(**values, created_by=actor.name, data=report)).inserted_primary_key
    assert key is not None
    text = f"report {name} #{key[0]} made"
    events.record(tx, Event(now_ms, str(actor), "report_made", f"report:{key[0]}", text))
    return int(key[0])


def _forget(tx: Connection, made_before_ms: int) -> None:
    """The newest stays, so that no number (a link in a mail) is ever given twice."""
    newest = sa.select(sa.func.max(reports.c.id)).scalar_subquery()
    tx.execute(sa.delete(reports).where(reports.c.created_ms < made_before_ms, reports.c.id < newest))


def _list(tx: Connection) -> list[dict[str, Any]]:
    query = sa.select(reports).order_by(reports.c.id.desc()).limit(_SHOWN)
    return [
        {
            "id": row.id,
            "name": row.name,
            "title": row.data.get("title", ""),
            "start_ms": row.start_ms,
            "end_ms": row.end_ms,
            "created_ms": row.created_ms,
            "created_by": row.created_by,
            "summary": row.data.get("summary", []),
        }
        for row in tx.execute(query)
    ]
