"""Hand-off notices: when the people of a schedule change, who comes and who goes hear of it once, with what is going on.

Each schedule has one timer, `handoff`: due at its next change, with the people as they were last told. Looking, telling and
setting the next timer are one transaction, so a restart neither repeats nor loses a change; what changed twice while Tocsin was
down is told once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents import oncall, rows
from tocsin.incidents.analytics import SELFTEST
from tocsin.incidents.doubt import spans_text
from tocsin.incidents.notices import lines_payload, to_person
from tocsin.incidents.oncall import NEXT_CHANGE_MS, People, Schedule
from tocsin.incidents.people import Directory
from tocsin.model.duration import human_duration
from tocsin.model.event import SYSTEM, Event
from tocsin.model.ports import Random
from tocsin.state import events, outbox
from tocsin.state.schema import incidents, notifications, silences, timers

KIND = "handoff"
_GAPS_AHEAD_MS = 14 * 86_400_000
_RECENT_MS = 7 * 86_400_000
_MOST_LISTED = 10

Who = Literal["both", "incoming", "outgoing", "none"]


@dataclass(frozen=True, slots=True)
class HandoffSettings:
    notify: Who = "both"
    schedules: tuple[str, ...] = ()
    """Only these; empty = all."""

    def wants(self, name: str) -> bool:
        return self.notify != "none" and (not self.schedules or name in self.schedules)


@dataclass(slots=True)
class Handoffs:
    """Looks at every schedule. `_next` spares the mathematics while a schedule stays as it was."""

    settings: HandoffSettings = field(default_factory=HandoffSettings)
    _next: dict[str, tuple[Schedule, int]] = field(default_factory=dict)

    def look(self, tx: Connection, directory: Directory, now_ms: int, random: Random) -> int:
        """Tell of every change since the last look; returns when the next one comes."""
        kept = {row.subject: row for row in tx.execute(sa.select(timers).where(timers.c.kind == KIND))}
        wanted = {f"schedule:{name}": s for name, s in directory.schedules.items() if self.settings.wants(name)}
        for subject in kept.keys() - wanted.keys():
            tx.execute(sa.delete(timers).where(timers.c.id == kept[subject].id))
        soonest = now_ms + NEXT_CHANGE_MS
        for subject, schedule in wanted.items():
            due_ms = self._due(schedule, now_ms)
            people = oncall.oncall_at(schedule, now_ms)
            row = kept.get(subject)
            if row is not None and tuple(row.data["people"]) != people:
                at_ms = row.due_at_ms if row.due_at_ms <= now_ms else now_ms
                self._tell(tx, directory, schedule, tuple(row.data["people"]), people, at_ms, now_ms, random)
            _keep(tx, row, subject, people, due_ms)
            soonest = min(soonest, due_ms)
        return soonest

    def _due(self, schedule: Schedule, now_ms: int) -> int:
        known = self._next.get(schedule.name)
        if known is None or known[0] != schedule or known[1] <= now_ms:
            self._next[schedule.name] = known = (schedule, oncall.next_change(schedule, now_ms) or now_ms + NEXT_CHANGE_MS)
        return known[1]

    def _tell(
        self,
        tx: Connection,
        directory: Directory,
        schedule: Schedule,
        before: People,
        after: People,
        at_ms: int,
        now_ms: int,
        random: Random,
    ) -> None:
        text = f"{schedule.name}: {_names(before)} handed over to {_names(after)}"
        _record(tx, schedule, "handed_over", text, now_ms)
        until_ms = self._due(schedule, now_ms)
        lines = list(briefing(tx, schedule, now_ms, until_ms))
        ids = outbox.new_ids(tx, now_ms=now_ms, random=random)
        coming, going = [name for name in after if name not in before], [name for name in before if name not in after]
        told = [(name, "incoming") for name in coming] + [(name, "outgoing") for name in going]
        for name, side in told:
            person = directory.persons.get(name)
            if person is None or self.settings.notify not in ("both", side):
                continue
            title, first = _words(schedule, side, before, after, at_ms, until_ms, person.time_zone)
            notes = to_person(
                person,
                ids,
                key=f"handoff/{schedule.name}/{at_ms}/{side}",
                payload=lines_payload(title, [first, *lines, f"On call: {directory.external_url}/oncall"]),
                reason=f"{'on call from now on' if side == 'incoming' else 'on call until now'} by schedule {schedule.name}",
                now_ms=now_ms,
            )
            if not notes:
                _record(tx, schedule, "not_notified", f"{name} has no mailbox or chat for the hand-off", now_ms)
            outbox.enqueue(tx, notes)


def _keep(tx: Connection, row: Any, subject: str, people: People, due_ms: int) -> None:
    """The timer as it should be; untouched when it is."""
    values = {"due_at_ms": due_ms, "data": {"people": list(people)}}
    if row is None:
        tx.execute(sa.insert(timers).values(kind=KIND, subject=subject, version=0, **values))
    elif row.due_at_ms != due_ms or row.data != values["data"]:
        tx.execute(sa.update(timers).where(timers.c.id == row.id).values(**values))


def _words(
    schedule: Schedule, side: str, before: People, after: People, at_ms: int, until_ms: int, time_zone: str
) -> tuple[str, str]:
    """Title and first sentence, in the person's own time zone."""
    at, until = _wall(at_ms, time_zone), _wall(until_ms, time_zone)
    if side == "incoming":
        lasts = human_duration(until_ms - at_ms)
        return f"You are on call: {schedule.name}", f"Since {at}, until {until} ({lasts}). Before you: {_names(before)}."
    return f"Your shift is over: {schedule.name}", f"Since {at}. After you: {_names(after)}."


def _wall(t_ms: int, time_zone: str) -> str:
    return f"{oncall.wall_time(t_ms, time_zone).strftime('%a %Y-%m-%d %H:%M')} {time_zone}"


def _names(people: People) -> str:
    return ", ".join(people) or "nobody"


# -- what goes on --


def briefing(tx: Connection, schedule: Schedule, now_ms: int, until_ms: int) -> Iterator[str]:
    """Open incidents, silences that end in the shift, last week's pages, gaps ahead: a sentence each."""
    c = incidents.c
    query = sa.select(c.number, c.title, c.severity, c.state, c.acknowledged_by, c.created_ms).where(
        c.state.in_(rows.OPEN), c.listed
    )
    open_ = tx.execute(query.order_by(c.number.desc())).all()
    yield f"{len(open_)} open incident{'' if len(open_) == 1 else 's'}{':' if open_ else '.'}"
    for row in open_[:_MOST_LISTED]:
        held = f" ({row.acknowledged_by} has it)" if row.acknowledged_by else ""
        yield f"#{row.number} {row.severity} {row.title}: {row.state} for {human_duration(now_ms - row.created_ms)}{held}"
    if len(open_) > _MOST_LISTED:
        yield f"and {len(open_) - _MOST_LISTED} more"
    yield from _silences(tx, now_ms, until_ms)
    yield _pages(tx, now_ms)
    if gaps := oncall.gaps(schedule, now_ms, now_ms + _GAPS_AHEAD_MS):
        yield f"Nobody is on call {spans_text(gaps).replace(' in the next 30 days', '')} in the next 14 days."


def _silences(tx: Connection, now_ms: int, until_ms: int) -> Iterator[str]:
    c = silences.c
    query = sa.select(silences).where(c.starts_at_ms <= now_ms, c.ends_at_ms > now_ms).order_by(c.ends_at_ms)
    for row in tx.execute(query.limit(_MOST_LISTED)):
        ends = f"ends in {human_duration(row.ends_at_ms - now_ms)}"
        within = ", in your shift" if row.ends_at_ms <= until_ms else ""
        yield f"Silence of {row.created_by} {ends}{within}: {row.comment}"


def _pages(tx: Connection, now_ms: int) -> str:
    c = notifications.c
    tests = sa.select(incidents.c.number).where(incidents.c.receiver == SELFTEST)
    query = sa.select(sa.func.count(sa.distinct(c.incident)), sa.func.count()).where(
        c.incident.not_in(tests),
        c.kind == "page",
        c.created_ms > now_ms - _RECENT_MS,
        c.settings_ref.like("user:%"),
        c.state.in_(["accepted", "delivered", "read"]),
    )
    about, count = tx.execute(query).one()
    return f"{count} page{'' if count == 1 else 's'} about {about} incident{'' if about == 1 else 's'} in the last 7 days."


def _record(tx: Connection, schedule: Schedule, verb: str, text: str, now_ms: int, data: Mapping[str, Any] | None = None) -> None:
    events.record(tx, Event(now_ms, str(SYSTEM), verb, f"schedule:{schedule.name}", text, data or {}))
