"""The outbox: incidents put notifications down in their own transaction, notify delivers them and keeps them as the log.

Ids rise with time (48 bits of ms, 16 of a counter, 64 of chance), so the order of ids is the order in which rows were decided,
also when the clock steps back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tocsin.model.notification import Notification, NotificationKind, NotificationState
from tocsin.model.ports import Random
from tocsin.state.bulk import insert_of
from tocsin.state.prepared import Prepared
from tocsin.state.schema import notifications

WAITING = (NotificationState.PENDING.value, NotificationState.HELD.value)
_COLUMNS = (
    "id", "incident", "kind", "channel", "address", "recipient", "reason", "dedup_key", "settings_ref", "payload", "state",
    "state_reason", "due_at_ms", "created_ms", "expires_ms", "order_key", "trace_id", "extra",
)  # fmt: skip
_NEWEST = Prepared(sa.select(sa.func.max(notifications.c.id)))
_CANCEL = Prepared(
    sa.update(notifications)
    .where(
        notifications.c.incident == sa.bindparam("of"),
        notifications.c.kind.in_(sa.bindparam("kinds", expanding=True)),
        notifications.c.state.in_(WAITING),
    )
    .values(state=NotificationState.CANCELLED.value, state_reason=sa.bindparam("reason"), done_ms=sa.bindparam("done"))
)


def new_ids(tx: Connection, *, now_ms: int, random: Random) -> Iterator[str]:
    """Fresh delivery ids, each above every id in the outbox; take as many as are needed within the transaction."""
    newest = _NEWEST.scalar(tx) or ""
    last = int(newest[:16], 16) if newest else 0
    while True:
        last = max(now_ms << 16, last + 1)
        yield f"{last:016x}{random.randbytes(8).hex()}"


@cache
def _add(dialect: str) -> Prepared:
    values = {column: sa.bindparam(column, type_=notifications.c[column].type) for column in _COLUMNS}
    return Prepared(insert_of(dialect)(notifications).values(values).on_conflict_do_nothing(index_elements=["dedup_key"]))


def enqueue(tx: Connection, rows: Sequence[Notification]) -> int:
    """Add notifications; one whose dedup key exists already is left as it was. Returns how many are new."""
    if not rows:
        return 0
    add = _add(tx.dialect.name)
    added = 0
    for row in rows:
        added += add.run(
            tx,
            id=row.id,
            incident=row.incident,
            kind=row.kind.value,
            channel=row.channel,
            address=row.address,
            recipient=row.recipient,
            reason=row.reason,
            dedup_key=row.dedup_key,
            settings_ref=row.settings_ref,
            payload=dict(row.payload),
            state=row.state.value,
            state_reason=row.state_reason,
            due_at_ms=row.due_at_ms,
            created_ms=row.created_ms,
            expires_ms=row.expires_ms,
            order_key=row.order_key,
            trace_id=row.trace_id,
            extra={},
        )
    return added


def cancel(tx: Connection, incident: int, *, kinds: Sequence[NotificationKind], reason: str, now_ms: int) -> int:
    """Cancel what is still waiting for an incident (not what is being sent). Returns how many."""
    return _CANCEL.run(tx, of=incident, kinds=[kind.value for kind in kinds], reason=reason, done=now_ms)


def cancel_of(tx: Connection, incident: int, *, kind: NotificationKind, prefixes: Sequence[str], reason: str, now_ms: int) -> int:
    """Cancel what waits for an incident to settings references that begin so. Returns how many."""
    c = notifications.c
    statement = sa.update(notifications).where(
        c.incident == incident,
        c.kind == kind.value,
        c.state.in_(WAITING),
        sa.or_(*(c.settings_ref.startswith(prefix, autoescape=True) for prefix in prefixes)),
    )
    done = statement.values(state=NotificationState.CANCELLED.value, state_reason=reason, done_ms=now_ms)
    return tx.execute(done).rowcount


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
