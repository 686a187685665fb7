"""Reading the timeline of an incident, for the dashboard and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents import around
from tocsin.incidents.rows import family
from tocsin.model.event import Event
from tocsin.state.schema import attempts, events, notifications

MOST_ENTRIES = 2000


def timeline(tx: Connection, number: int, *, changes: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Every decision, attempt and answer, alerts that joined and ended, and `changes` (deploys), oldest first.

    As api.ts TimelineEntry. What is not an event of its own has an id below zero.
    """
    numbers = family(tx, number)
    entries = [_entry(event) for event in incident_events(tx, numbers)]
    entries.extend(_attempts(tx, numbers))
    entries.extend(around.alert_entries(tx, numbers))
    entries.extend(around.change_entries(changes))
    entries.sort(key=lambda entry: (entry["t_ms"], abs(entry["id"])))
    return entries[-MOST_ENTRIES:]


def incident_events(tx: Connection, numbers: Sequence[int]) -> list[Event]:
    c = events.c
    query = sa.select(events).where(c.subject.in_([f"incident:{number}" for number in numbers])).order_by(c.id)
    return [Event(r.t_ms, r.actor, r.verb, r.subject, r.text, r.data, r.cause, r.id) for r in tx.execute(query)]


def _entry(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "t_ms": event.t_ms,
        "actor": event.actor,
        "verb": event.verb,
        "text": event.text,
        "cause": event.cause,
        "data": dict(event.data),
    }


def _attempts(tx: Connection, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """What each attempt to send came to. They stand in a table of their own: the hash chain holds decisions, not traffic."""
    joined = sa.join(attempts, notifications, attempts.c.notification == notifications.c.id)
    query = (
        sa.select(attempts, notifications.c.channel, notifications.c.recipient, notifications.c.kind)
        .select_from(joined)
        .where(notifications.c.incident.in_(numbers))
        .order_by(attempts.c.id)
    )
    return [_attempt(row) for row in tx.execute(query)]


def _attempt(row: Any) -> dict[str, Any]:
    took = f" in {row.ended_ms - row.started_ms} ms" if row.ended_ms else ""
    said = f": {row.reason}" if row.reason else ""
    text = f"{row.kind} to {row.recipient} by {row.channel}, attempt {row.n}: {row.outcome or 'under way'}{took}{said}"
    return {
        "id": -row.id,
        "t_ms": row.started_ms,
        "actor": "system:deliver",
        "verb": "attempted",
        "text": text,
        "cause": row.outcome,
        "data": {"notification": row.notification, "status": row.status, "provider_id": row.provider_id},
    }
