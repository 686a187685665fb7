"""Quiet hours that people set themselves, and what a change of them does to messages that wait.

    file says some ──▶ these hold, nothing else can be set      file says none ──▶ set | changed | removed here

A change counts at once: what the old hours held and the new ones do not is sent, what the new ones hold is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.incidents.policy import held_reason, quiet_until, rules_of
from tocsin.model.event import Actor, deed
from tocsin.model.incident import DAYS, Person, QuietHours, Urgency
from tocsin.model.notification import NotificationState
from tocsin.state import events, marks
from tocsin.state.schema import incidents, notifications, quiet_hours

_HELD, _PENDING = NotificationState.HELD.value, NotificationState.PENDING.value
_c = quiet_hours.c


@dataclass(frozen=True, slots=True)
class Stored:
    person: str
    hours: QuietHours


def stored(tx: Connection) -> tuple[Stored, ...]:
    return tuple(_read(row) for row in tx.execute(sa.select(quiet_hours).order_by(_c.person)))


def overlay(persons: Mapping[str, Person], rows: Iterable[Stored]) -> dict[str, Person]:
    """The persons with the hours that they set themselves; those of the file win."""
    found = dict(persons)
    for row in rows:
        person = found.get(row.person)
        if person is not None and person.quiet_hours is None:
            found[row.person] = replace(person, quiet_hours=row.hours)
    return found


def in_force(tx: Connection, declared: Person) -> QuietHours | None:
    """`declared`: the person as the file has them."""
    if declared.quiet_hours is not None and not declared.quiet_hours.own:
        return declared.quiet_hours
    row = tx.execute(sa.select(quiet_hours).where(_c.person == declared.name)).first()
    return _read(row).hours if row else None


def shown(quiet: QuietHours) -> dict[str, Any]:
    """As people write them."""
    return {
        "from": clock(quiet.start_minute),
        "to": clock(quiet.end_minute),
        "days": [DAYS[day] for day in quiet.days],
        "time_zone": quiet.time_zone,
        "allow": list(quiet.allow_severities),
    }


def mark(quiet: QuietHours | None) -> str:
    """What `If-Match` is held against; no quiet hours have one, too."""
    return marks.mark_of(shown(quiet) if quiet else None, bool(quiet and quiet.own))


def put(
    tx: Connection, person: Person, hours: QuietHours | None, *, actor: Actor, now_ms: int, seen: Iterable[str] = ()
) -> Person:
    """Set a person's own hours, or (None) remove them; messages that wait follow in the same transaction.

    Returns the person as now.
    Raises CommandError 409 where the file says them, 412 when they are others than those that were `seen`.
    """
    before = in_force(tx, person)
    marks.hold(tuple(seen), mark(before))
    if before is not None and not before.own:
        raise CommandError(409, "declared", f"the quiet hours of {person.name} stand in the configuration; change them there")
    tx.execute(sa.delete(quiet_hours).where(_c.person == person.name))
    if hours is not None:
        values = {"start_minute": hours.start_minute, "end_minute": hours.end_minute, "days": list(hours.days)}
        values |= {"time_zone": hours.time_zone, "allow": list(hours.allow_severities)}
        tx.execute(sa.insert(quiet_hours).values(person=person.name, **values, updated_by=actor.name, updated_ms=now_ms))
    after = replace(person, quiet_hours=hours)
    if hours != before:
        moved = follow(tx, after, actor, now_ms)
        _record(tx, actor, person.name, before, hours, moved, now_ms)
    return after


def words(quiet: QuietHours) -> str:
    days = f" on {', '.join(DAYS[day] for day in quiet.days)}" if quiet.days else ""
    through = f"{', '.join(quiet.allow_severities)} gets through" if quiet.allow_severities else "nothing gets through"
    return f"{clock(quiet.start_minute)} to {clock(quiet.end_minute)}{days} ({quiet.time_zone}), {through}"


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# -- messages that wait --


def follow(tx: Connection, person: Person, actor: Actor, now_ms: int) -> int:
    """Hold or let go what waits for this person, by their hours as they are now; returns how many messages changed.

    Twice is as good as once.
    """
    n, i = notifications.c, incidents.c
    own = n.settings_ref.startswith(f"user:{person.name}/", autoescape=True)
    waits = sa.or_(
        sa.and_(n.state == _HELD, n.state_reason.startswith("quiet hours")), sa.and_(n.state == _PENDING, n.due_at_ms > now_ms)
    )
    query = (
        sa.select(n.id, n.incident, n.kind, n.channel, n.state, n.state_reason, n.settings_ref, n.due_at_ms, n.created_ms)
        .add_columns(n.expires_ms, i.severity, i.urgency)
        .select_from(notifications.outerjoin(incidents, i.number == n.incident))
        .where(n.recipient == person.name, own, waits, n.attempts == 0)
    )
    return sum(_wait_anew(tx, row, person, actor, now_ms) for row in tx.execute(query).all())


def _wait_anew(tx: Connection, row: Any, person: Person, actor: Actor, now_ms: int) -> bool:
    quiet = person.quiet_hours
    until_ms = quiet_until(quiet, row.severity or "", now_ms)
    wanted_ms = max(now_ms, row.created_ms + _delay_ms(row, person)) if row.state == _HELD else row.due_at_ms
    held = quiet is not None and until_ms > wanted_ms
    due_ms = until_ms if held else wanted_ms
    if held == (row.state == _HELD) and due_ms == row.due_at_ms:
        return False
    values: dict[str, Any] = {"due_at_ms": due_ms, "expires_ms": row.expires_ms + due_ms - row.due_at_ms}
    reason = held_reason(quiet, until_ms) if quiet is not None and held else ""
    values |= {"state": _HELD if held else _PENDING, "state_reason": reason}
    tx.execute(sa.update(notifications).where(notifications.c.id == row.id, notifications.c.state == row.state).values(**values))
    if row.incident:
        what = f"held by {reason}" if reason else "held no longer"
        text = f"{person.name} by {row.channel}: {what}, {actor.name} changed the quiet hours"
        events.record(tx, deed(now_ms, actor, "quiet_hours_followed", f"incident:{row.incident}", text, notification=row.id))
    return True


def _delay_ms(row: Any, person: Person) -> int:
    """How long the person's own rules wait before this way is used: hours that end do not hurry it."""
    if not row.urgency or row.kind != "page":
        return 0
    methods = {method.id: method for method in person.methods if method.verified}
    used = row.settings_ref.partition("/")[2]
    return next((rule.delay_ms for rule in rules_of(person, methods, Urgency(row.urgency)) if rule.method == used), 0)


# -- parts --


def _read(row: Any) -> Stored:
    allow, days = tuple(row.allow), tuple(row.days)
    return Stored(row.person, QuietHours(row.start_minute, row.end_minute, row.time_zone, allow, days, own=True))


def _record(
    tx: Connection,
    actor: Actor,
    person: str,
    before: QuietHours | None,
    after: QuietHours | None,
    moved: int,
    now_ms: int,
) -> None:
    text = (
        f"{actor.name} set the quiet hours of {person}: {words(after)}"
        if after
        else f"{actor.name} removed the quiet hours of {person}"
    )
    if moved:
        text += f"; {moved} waiting {'message follows' if moved == 1 else 'messages follow'}"
    data = {"before": shown(before) if before else None, "after": shown(after) if after else None}
    verb = "quiet_hours_set" if after else "quiet_hours_removed"
    events.record(tx, deed(now_ms, actor, verb, f"user:{person}", text, **data))
