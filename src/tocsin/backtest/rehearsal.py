"""The chain behind the rules, played over what they would have fired: who would have been told, when, and of what.

    firings ──intake──▶ the real dispatcher ──page──▶ the real escalator ──outbox rows──▶ told

Both run on a state database of their own and on a clock that jumps from one due time to the next. Nothing is sent: a message
counts as delivered when it is due, and whoever is paged first acknowledges after `ack_after_ms`.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.alerts.dispatch import Dispatcher
from tocsin.backtest.replay import Firing
from tocsin.incidents.escalate import Escalator
from tocsin.incidents.people import Directory
from tocsin.model.alert import Alert
from tocsin.model.event import Actor
from tocsin.model.incident import IncidentState
from tocsin.model.notification import NotificationKind, NotificationState
from tocsin.model.route import Routing
from tocsin.state import intake
from tocsin.state.schema import incidents, notifications
from tocsin.state.sql import Database, sqlite_url
from tocsin.state.upgrade import upgrade

DEFAULT_ACK_AFTER_MS = 300_000
_NEVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class Told:
    """One message that would have left."""

    at_ms: int
    who: str
    channel: str
    kind: NotificationKind
    incident: int
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the chain would have made of the firings."""

    told: tuple[Told, ...]
    """In the order of time."""
    incidents: int
    untold: int
    """Incidents of which nobody was told: silenced, inhibited, muted, or routed to nobody."""


class _Now:
    """A clock that stands still until it is moved."""

    def __init__(self, t_ms: int) -> None:
        self.t_ms = t_ms

    def now_ms(self) -> int:
        return self.t_ms

    def monotonic_s(self) -> float:
        return self.t_ms / 1000

    async def sleep_until_ms(self, t_ms: int) -> None:
        self.t_ms = max(self.t_ms, t_ms)


class _Seeded:
    """Randomness that is the same each time: two rehearsals of the same firings are equal."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def random(self) -> float:
        return self._random.random()

    def randbytes(self, n: int) -> bytes:
        return self._random.randbytes(n)


def rehearse(
    firings: Sequence[Firing],
    routing: Routing,
    directory: Directory,
    *,
    start_ms: int,
    end_ms: int,
    ack_after_ms: int = DEFAULT_ACK_AFTER_MS,
) -> Rehearsed:
    """Play `firings` through routing, grouping, inhibition, policies and schedules. `ack_after_ms` 0 = nobody answers."""
    with tempfile.TemporaryDirectory(prefix="tocsin-rehearsal-") as folder:
        db = Database(sqlite_url(Path(folder) / "state.db"), inline=True)
        sa.event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        upgrade(db.engine)
        try:
            return asyncio.run(_Rehearsal(db, routing, directory, start_ms, end_ms, ack_after_ms).play(firings))
        finally:
            db.close()


class _Rehearsal:
    def __init__(
        self, db: Database, routing: Routing, directory: Directory, start_ms: int, end_ms: int, ack_after_ms: int
    ) -> None:
        self._db = db
        self._end_ms = end_ms
        self._ack_after_ms = ack_after_ms
        self._clock = _Now(start_ms)
        self._escalator = Escalator(
            db=db,
            clock=self._clock,
            changed=lambda topic, subject="": None,
            wake_notify=lambda: None,
            random=_Seeded(),
            directory=directory,
        )
        self._dispatcher = Dispatcher(
            db=db, sink=self._escalator.receive_page, clock=self._clock, changed=lambda topic, subject="": None
        )
        self._dispatcher.apply(routing)

    async def play(self, firings: Sequence[Firing]) -> Rehearsed:
        reports = sorted(_reports(firings), key=lambda report: report[0])
        place, due_ms = 0, self._clock.t_ms
        while True:
            next_ms = min(reports[place][0] if place < len(reports) else _NEVER_MS, due_ms)
            if next_ms > self._end_ms:
                break
            self._clock.t_ms = max(self._clock.t_ms, next_ms)
            now: list[Alert] = []
            while place < len(reports) and reports[place][0] <= self._clock.t_ms:
                now.append(reports[place][1])
                place += 1
            due_ms = await self._step(now)
        return self._db.write_now(_result)

    async def _step(self, alerts: list[Alert]) -> int:
        """Everything that is due now; returns when to look next, later than now."""
        now_ms = self._clock.t_ms
        if alerts:
            await self._db.write(lambda tx: intake.put(tx, alerts, now_ms=now_ms))
        await self._acknowledge(now_ms)  # whoever answers in the minute of the next step was in time
        next_ms = await self._dispatcher.step()
        next_ms = min(next_ms, await self._escalator.step(), await self._db.write(lambda tx: _deliver(tx, now_ms)))
        return max(now_ms + 1_000, min(next_ms, await self._acknowledge(now_ms)))

    async def _acknowledge(self, now_ms: int) -> int:
        """Somebody answers what was told long enough ago; returns when the next answer is due."""
        if not self._ack_after_ms:
            return _NEVER_MS
        next_ms = _NEVER_MS
        for number, who, told_ms in await self._db.write(_unanswered):
            if told_ms + self._ack_after_ms <= now_ms:
                await self._escalator.command("acknowledge", {"number": number}, Actor("user", who, "rehearsal"))
            else:
                next_ms = min(next_ms, told_ms + self._ack_after_ms)
        return next_ms


def _reports(firings: Iterable[Firing]) -> Iterator[tuple[int, Alert]]:
    for firing in firings:
        alert = Alert(firing.labels, {}, firing.active_ms, source=f"rule:{firing.rule_id}", value=firing.value)
        yield firing.fired_ms, alert
        if firing.resolved_ms:
            yield firing.resolved_ms, Alert(firing.labels, {}, firing.active_ms, firing.resolved_ms, source=alert.source)


def _deliver(tx: Connection, now_ms: int) -> int:
    """Messages that are due have arrived; returns when the next one is due."""
    c = notifications.c
    waiting = c.state == NotificationState.PENDING.value
    tx.execute(
        sa.update(notifications)
        .where(waiting, c.due_at_ms <= now_ms)
        .values(state=NotificationState.DELIVERED.value, sent_ms=now_ms, done_ms=now_ms)
    )
    found = tx.execute(sa.select(sa.func.min(c.due_at_ms)).where(waiting)).scalar()
    return _NEVER_MS if found is None else int(found)


def _unanswered(tx: Connection) -> list[tuple[int, str, int]]:
    """(incident, the first person told, when) of every incident that nobody has acknowledged."""
    c = notifications.c
    query = (
        sa.select(c.incident, c.recipient, sa.func.min(c.sent_ms))
        .join(incidents, incidents.c.number == c.incident)
        .where(
            incidents.c.state == IncidentState.TRIGGERED.value,
            c.kind == NotificationKind.PAGE.value,
            c.state == NotificationState.DELIVERED.value,
            c.settings_ref.like("user:%"),
        )
        .group_by(c.incident)
    )
    return [(int(number), str(who), int(sent_ms)) for number, who, sent_ms in tx.execute(query)]


def _result(tx: Connection) -> Rehearsed:
    n, i = notifications.c, incidents.c
    query = (
        sa.select(n.sent_ms, n.recipient, n.channel, n.kind, n.incident, i.title, n.reason)
        .join(incidents, i.number == n.incident)
        .where(n.state == NotificationState.DELIVERED.value)
        .order_by(n.sent_ms, n.id)
    )
    told = tuple(
        Told(row.sent_ms, row.recipient, row.channel, NotificationKind(row.kind), row.incident, row.title, row.reason)
        for row in tx.execute(query)
    )
    count = int(tx.execute(sa.select(sa.func.count()).select_from(incidents)).scalar() or 0)
    return Rehearsed(told, count, count - len({message.incident for message in told}))
