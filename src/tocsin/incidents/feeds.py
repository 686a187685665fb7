"""Calendar addresses that carry their own secret: calendar programs cannot send a token. Only its SHA-256 is kept."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.incidents import ical
from tocsin.incidents.people import Directory
from tocsin.model.event import Actor, Event
from tocsin.model.ports import Random
from tocsin.state import events
from tocsin.state.schema import feeds

_BACK_MS = 30 * 86_400_000
_AHEAD_MS = 90 * 86_400_000
_TOUCH_MS = 3_600_000
_MOST = 200
_c = feeds.c


def create(
    tx: Connection, directory: Directory, *, schedule: str, person: str, actor: Actor, now_ms: int, random: Random
) -> dict[str, Any]:
    """An address for one schedule, one person's shifts, or one person's shifts of one schedule. Raises CommandError 404, 422."""
    if not schedule and not person:
        raise CommandError(422, "nothing_chosen", "expected `schedule`, `person` or both")
    if schedule and schedule not in directory.schedules:
        raise CommandError(404, "no_such_schedule", f"there is no schedule {schedule!r}")
    if person and person not in directory.persons:
        raise CommandError(404, "unknown_person", f"there is no user {person!r}")
    alive = tx.execute(sa.select(sa.func.count()).where(_c.revoked_ms == 0)).scalar_one()
    if alive >= _MOST:
        raise CommandError(422, "too_many", f"there are {alive} calendar addresses: revoke some first")
    secret = base64.urlsafe_b64encode(random.randbytes(32)).rstrip(b"=").decode()
    id_hash = _hash(secret)
    values = {"id_hash": id_hash, "schedule": schedule, "person": person, "created_by": actor.name, "created_ms": now_ms}
    tx.execute(sa.insert(feeds).values(**values))
    _record(tx, actor, "feed_created", f"{actor.name} made a calendar address for {_what(schedule, person)}", now_ms)
    return {"id": id_hash[:12], "schedule": schedule, "person": person, "path": f"/calendar/{secret}.ics"}


def revoke(tx: Connection, id_: str, *, actor: Actor, now_ms: int) -> None:
    """Raises CommandError 404."""
    row = tx.execute(sa.select(feeds).where(_c.id_hash.startswith(id_, autoescape=True), _c.revoked_ms == 0)).first()
    if row is None or len(id_) < 12:
        raise CommandError(404, "not_found", f"there is no calendar address {id_}")
    tx.execute(sa.update(feeds).where(_c.id_hash == row.id_hash).values(revoked_ms=now_ms))
    _record(tx, actor, "feed_revoked", f"{actor.name} revoked the calendar address of {_what(row.schedule, row.person)}", now_ms)


def listed(tx: Connection) -> list[dict[str, Any]]:
    """Those that still work, newest first, without their secrets."""
    return [
        {
            "id": row.id_hash[:12],
            "schedule": row.schedule,
            "person": row.person,
            "created_by": row.created_by,
            "created_ms": row.created_ms,
            "used_ms": row.used_ms,
        }
        for row in tx.execute(sa.select(feeds).where(_c.revoked_ms == 0).order_by(_c.created_ms.desc()))
    ]


def find(tx: Connection, secret: str, now_ms: int) -> tuple[str, str] | None:
    """(schedule, person) of an address; None when it never was or was revoked. Notes the use, once an hour."""
    row = tx.execute(sa.select(feeds).where(_c.id_hash == _hash(secret), _c.revoked_ms == 0)).first()
    if row is None:
        return None
    if now_ms - row.used_ms > _TOUCH_MS:
        tx.execute(sa.update(feeds).where(_c.id_hash == row.id_hash).values(used_ms=now_ms))
    return row.schedule, row.person


def text(directory: Directory, schedule: str, person: str, now_ms: int) -> str:
    """The calendar, 30 days back to 90 ahead. What has left the configuration is empty, so that calendars drop it."""
    chosen = [directory.schedules[schedule]] if schedule in directory.schedules else []
    if not schedule:
        chosen = list(directory.schedules.values())
    host = urlsplit(directory.external_url).hostname or "tocsin"
    return joined([ical.calendar(one, now_ms - _BACK_MS, now_ms + _AHEAD_MS, host=host, user=person) for one in chosen], person)


def joined(calendars: Sequence[str], name: str) -> str:
    """Several calendars as one."""
    if len(calendars) == 1:
        return calendars[0]
    head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Tocsin//on call//EN", f"X-WR-CALNAME:On call {ical.escape(name)}"]
    body = "".join(one[one.find("BEGIN:VEVENT") : one.rfind("END:VCALENDAR")] for one in calendars if "BEGIN:VEVENT" in one)
    return "".join(f"{line}\r\n" for line in head) + body + "END:VCALENDAR\r\n"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _what(schedule: str, person: str) -> str:
    return " of ".join(part for part in (person, schedule and f"schedule {schedule}") if part)


def _record(tx: Connection, actor: Actor, verb: str, sentence: str, now_ms: int) -> None:
    events.record(tx, Event(now_ms, str(actor), verb, "calendar", sentence, {"via": actor.via}))
