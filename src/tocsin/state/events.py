"""Append to the timeline. Each line carries the hash of the one before it, so that a changed or missing line shows."""

from __future__ import annotations

import hashlib

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.event import Event
from tocsin.state import bulk
from tocsin.state.prepared import Prepared
from tocsin.state.schema import events

_LAST = Prepared(sa.select(events.c.hash).order_by(events.c.id.desc()).limit(1))


def record(tx: Connection, *new: Event) -> None:
    """Append events inside the caller's transaction."""
    if not new:
        return
    previous = _LAST.scalar(tx) or ""
    rows = []
    for event in new:
        previous = chain_hash(previous, event)
        rows.append(
            {
                "t_ms": event.t_ms,
                "actor": event.actor,
                "verb": event.verb,
                "subject": event.subject,
                "text": event.text,
                "data": dict(event.data),
                "cause": event.cause,
                "hash": previous,
            }
        )
    bulk.insert_rows(tx, events, rows)


def chain_hash(previous: str, event: Event) -> str:
    """SHA-256 over the previous hash and the event's fields, hex."""
    body = orjson.dumps(
        [event.t_ms, event.actor, event.verb, event.subject, event.text, dict(event.data), event.cause],
        option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS,
    )
    return hashlib.sha256(previous.encode() + body).hexdigest()


def read(connection: Connection, *, subject: str = "", after_id: int = 0, limit: int = 1000) -> list[Event]:
    """Events in order, oldest first; of one subject or of all."""
    query = sa.select(events).where(events.c.id > after_id).order_by(events.c.id).limit(limit)
    if subject:
        query = query.where(events.c.subject == subject)
    return [
        Event(
            t_ms=row.t_ms,
            actor=row.actor,
            verb=row.verb,
            subject=row.subject,
            text=row.text,
            data=row.data,
            cause=row.cause,
            id=row.id,
        )
        for row in connection.execute(query)
    ]


def first_break(connection: Connection) -> int:
    """Id of the first event whose hash does not follow from the one before it; 0 = the chain holds."""
    previous = ""
    for row in connection.execute(sa.select(events).order_by(events.c.id)):
        event = Event(row.t_ms, row.actor, row.verb, row.subject, row.text, row.data, row.cause)
        if row.hash != chain_hash(previous, event):
            return int(row.id)
        previous = row.hash
    return 0
