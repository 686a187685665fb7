"""The outbox: incidents put notifications down in their own transaction, notify delivers them and keeps them as the log.

Ids rise with time (48 bits of ms, 16 of a counter, 64 of chance), so the order of ids is the order in which rows were decided,
also when the clock steps back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from tocsin.model.notification import Notification, NotificationKind, NotificationState
from tocsin.model.ports import Random
from tocsin.state.schema import notifications

WAITING = (NotificationState.PENDING.value, NotificationState.HELD.value)


def new_ids(tx: Connection, *, now_ms: int, random: Random) -> Iterator[str]:
    """Fresh delivery ids, each above every id in the outbox; take as many as are needed within the transaction."""
    newest = tx.execute(sa.select(sa.func.max(notifications.c.id))).scalar() or ""
    last = int(newest[:16], 16) if newest else 0
    while True:
        last = max(now_ms << 16, last + 1)
        yield f"{last:016x}{random.randbytes(8).hex()}"


def enqueue(tx: Connection, rows: Sequence[Notification]) -> int:
    """Add notifications; one whose dedup key exists already is left as it was. Returns how many are new."""
    if not rows:
        return 0
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(notifications).on_conflict_do_nothing(index_elements=["dedup_key"])
    added = 0
    for row in rows:
        values = {
            "id": row.id,
            "incident": row.incident,
            "kind": row.kind.value,
            "channel": row.channel,
            "address": row.address,
            "recipient": row.recipient,
            "reason": row.reason,
            "dedup_key": row.dedup_key,
            "settings_ref": row.settings_ref,
            "payload": dict(row.payload),
            "state": row.state.value,
            "state_reason": row.state_reason,
            "due_at_ms": row.due_at_ms,
            "created_ms": row.created_ms,
            "expires_ms": row.expires_ms,
            "order_key": row.order_key,
            "trace_id": row.trace_id,
            "extra": {},
        }
        added += tx.execute(statement.values(values)).rowcount
    return added


def cancel(tx: Connection, incident: int, *, kinds: Sequence[NotificationKind], reason: str, now_ms: int) -> int:
    """Cancel what is still waiting for an incident (not what is being sent). Returns how many."""
    return tx.execute(
        sa.update(notifications)
        .where(
            notifications.c.incident == incident,
            notifications.c.kind.in_([kind.value for kind in kinds]),
            notifications.c.state.in_(WAITING),
        )
        .values(state=NotificationState.CANCELLED.value, state_reason=reason, done_ms=now_ms)
    ).rowcount


def of_row(row: Row) -> Notification:  # type: ignore[type-arg]
    """The value of a whole row of the table."""
    return Notification(
        id=row.id,
        incident=row.incident,
        kind=NotificationKind(row.kind),
        channel=row.channel,
        address=row.address,
        recipient=row.recipient,
        due_at_ms=row.due_at_ms,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        reason=row.reason,
        dedup_key=row.dedup_key,
        settings_ref=row.settings_ref,
        payload=row.payload,
        state=NotificationState(row.state),
        attempts=row.attempts,
        lease_until_ms=row.lease_until_ms,
        provider_id=row.provider_id,
        state_reason=row.state_reason,
        sent_ms=row.sent_ms,
        done_ms=row.done_ms,
        order_key=row.order_key,
        trace_id=row.trace_id,
    )
