"""The outbox seen by the deliverer: what is due, in which order, claimed under a lease, with every attempt on record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.event import Event
from tocsin.model.incident import IncidentState
from tocsin.model.notification import Delivery, Notification, NotificationKind, NotificationState
from tocsin.notify.inbound import Report
from tocsin.notify.redecide import Now, Verdict, redecide
from tocsin.notify.retry import FALLBACK_AFTER_MS, Next, fallback_after_ms
from tocsin.state import events, outbox
from tocsin.state.muted import muted
from tocsin.state.schema import attempts, channel_refs, incidents, notifications

LEASE_MS = 90_000
MOST_AT_ONCE = 200
_MOST_CANDIDATES = 2000
_HUSH_MS = 5_000
_REPORTED_WITHIN_MS = 3 * 86_400_000
_PENDING, _SENDING, _HELD = "pending", "sending", "held"
_TOLD = ("accepted", "delivered", "read")
_RANK = {"accepted": 0, "failed": 1, "delivered": 1, "read": 2}
SPACED = "waits: news of a storm come here now and then, not each at once"
_STATE_OF_WORLD = (NotificationKind.PAGE.value, NotificationKind.UPDATE.value)
c = notifications.c


@dataclass(frozen=True, slots=True)
class Claimed:
    """One row under our lease, ready to be sent."""

    note: Notification
    attempt_id: int
    possible_repeat: bool
    refs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was decided against; a page that expired wants another way."""

    note: Notification
    verdict: Verdict


def recover(tx: Connection, *, owner: str, now_ms: int, everything: bool) -> int:
    """Void the leases of the dead: what they were sending may have arrived and is sent again, marked. Returns how many.

    `everything`: this process is the only one that can send (SQLite); else only leases that ran out count as dead.
    """
    dead = sa.select(c.id, c.attempts).where(c.state == _SENDING, c.lease_owner != owner)
    if not everything:
        dead = dead.where(c.lease_until_ms < now_ms)
    found = tx.execute(dead).all()
    for row in found:
        tx.execute(
            sa.update(notifications)
            .where(c.id == row.id, c.state == _SENDING)
            .values(state=_PENDING, due_at_ms=now_ms, possible_repeat=True, lease_owner="", lease_until_ms=0)
        )
        tx.execute(
            sa.update(attempts)
            .where(attempts.c.notification == row.id, attempts.c.ended_ms == 0)
            .values(outcome="unknown", ended_ms=now_ms, reason="Tocsin ended before the answer was recorded")
        )
    return len(found)


def due(tx: Connection, now_ms: int, *, blocked: Iterable[str] = ()) -> list[Any]:
    """Rows that may be sent now, oldest first: due, at the head of their order key, not of a blocked settings reference."""
    earlier = notifications.alias("earlier")
    e = earlier.c
    in_the_way = (
        sa.select(e.id)
        .where(
            e.order_key == c.order_key,
            e.order_key != "",
            e.id < c.id,
            sa.or_(
                e.state == _SENDING,
                sa.and_(e.state.in_(outbox.WAITING), sa.or_(e.attempts > 0, e.due_at_ms <= now_ms)),
                # Put off on its way (told together with others, silenced for a moment): a reason stands on it.
                sa.and_(e.state == _PENDING, e.state_reason.not_in(("", SPACED))),
            ),
        )
        .exists()
    )
    query = sa.select(notifications).where(c.state.in_(outbox.WAITING), c.due_at_ms <= now_ms, ~in_the_way)
    if refs := list(blocked):
        query = query.where(c.settings_ref.not_in(refs))
    return list(tx.execute(query.order_by(c.due_at_ms, c.id).limit(_MOST_CANDIDATES)))


def hushed(tx: Connection, row: Any, now_ms: int) -> bool:
    """A page whose incident was silenced meanwhile waits (True): the escalator cancels it, or the silence ends first."""
    if row.kind != NotificationKind.PAGE.value or not (by := muted(tx, [row.incident]).get(row.incident)):
        return False
    tx.execute(
        sa.update(notifications).where(c.id == row.id).values(due_at_ms=now_ms + _HUSH_MS, state_reason=f"suppressed ({by})")
    )
    return True


def still_waits(tx: Connection, id_: str) -> bool:
    return tx.execute(sa.select(c.state).where(c.id == id_)).scalar() in outbox.WAITING


def judge(tx: Connection, row: Any, now_ms: int, *, interrupts: bool) -> Verdict:
    """Re-decide one due row against the incident as it is in this transaction."""
    now = _now(tx, row, now_ms)
    return redecide(
        NotificationKind(row.kind),
        now,
        now_ms=now_ms,
        expires_ms=row.expires_ms,
        interrupts=interrupts,
        anyway=bool(row.payload.get("anyway")),
    )


def _now(tx: Connection, row: Any, now_ms: int) -> Now:
    if not row.incident:
        return Now(state=None)
    query = sa.select(incidents.c.state, incidents.c.acknowledged_by).where(incidents.c.number == row.incident)
    incident = tx.execute(query).first()
    if incident is None:
        return Now(state=None)
    newer = ""
    if row.kind in _STATE_OF_WORLD:
        later = sa.select(sa.func.max(c.id)).where(
            c.order_key == row.order_key,
            c.id > row.id,
            c.kind.in_(_STATE_OF_WORLD),
            # One that overtook this one, which was put off, tells it as well.
            sa.or_(sa.and_(c.state.in_(outbox.WAITING), c.due_at_ms <= now_ms), c.state.in_(_TOLD)),
        )
        newer = tx.execute(later).scalar() or ""
    told = sa.select(c.id).where(
        c.order_key == row.order_key, c.id < row.id, sa.or_(c.state.in_(_TOLD), c.possible_repeat.is_(True))
    )
    return Now(
        state=IncidentState(incident.state),
        holder=incident.acknowledged_by,
        newer=newer,
        moved=row.payload.get("incident", {}).get("state", incident.state) != incident.state,
        told=tx.execute(told.limit(1)).first() is not None,
    )


def drop(tx: Connection, row: Any, verdict: Verdict, now_ms: int) -> Dropped:
    """Write down that a row is not sent, and why."""
    assert verdict.state is not None
    tx.execute(
        sa.update(notifications)
        .where(c.id == row.id)
        .values(state=verdict.state.value, state_reason=verdict.reason, done_ms=now_ms)
    )
    note = outbox.of_row(row)
    if note.incident:
        text = f"{note.kind.value} to {note.recipient} by {note.channel} not sent: {verdict.reason}"
        _event(tx, note, now_ms, f"notification_{verdict.state.value}", text)
    return Dropped(note, verdict)


def claim(tx: Connection, row: Any, *, owner: str, now_ms: int) -> Claimed:
    """Take the lease and open the attempt."""
    n = row.attempts + 1
    tx.execute(
        sa.update(notifications)
        .where(c.id == row.id)
        .values(
            state=_SENDING,
            attempts=n,
            lease_owner=owner,
            lease_until_ms=now_ms + LEASE_MS,
            sent_ms=row.sent_ms or now_ms,
        )
    )
    opened = tx.execute(sa.insert(attempts).values(notification=row.id, n=n, started_ms=now_ms)).inserted_primary_key
    assert opened is not None
    query = sa.select(channel_refs.c.data).where(
        channel_refs.c.incident == row.incident, channel_refs.c.order_key == row.order_key
    )
    refs = tx.execute(query).scalar() or {}
    return Claimed(outbox.of_row(row), int(opened[0]), bool(row.possible_repeat), dict(refs))


def finish(tx: Connection, claimed: Claimed, delivery: Delivery, following: Next, now_ms: int, *, attempts_made: int) -> bool:
    """Write down what an attempt came to. True when the page wants another way and has not asked for one yet."""
    note = claimed.note
    tx.execute(
        sa.update(attempts)
        .where(attempts.c.id == claimed.attempt_id)
        .values(
            ended_ms=now_ms,
            outcome=delivery.outcome.value,
            status=delivery.status,
            reason=delivery.reason,
            provider_id=delivery.provider_id,
        )
    )
    values: dict[str, Any] = {
        "state": following.state.value,
        "state_reason": delivery.reason or following.why.value,
        "lease_owner": "",
        "lease_until_ms": 0,
    }
    if following.state is NotificationState.PENDING:
        values["due_at_ms"] = following.due_at_ms
    else:
        values["done_ms"] = now_ms
    if delivery.provider_id:
        values["provider_id"] = delivery.provider_id
    if following.possible_repeat:
        values["possible_repeat"] = True
    tx.execute(sa.update(notifications).where(c.id == note.id).values(**values))
    if following.state in (NotificationState.FAILED, NotificationState.EXPIRED) and note.incident:
        text = (
            f"{note.kind.value} to {note.recipient} by {note.channel} {following.state.value} "
            f"after {attempts_made} attempt{'s' if attempts_made > 1 else ''}: {delivery.reason}"
        )
        _event(tx, note, now_ms, f"notification_{following.state.value}", text)
    return following.fall_back and first_cry(tx, note.id)


def reported(tx: Connection, report: Report, now_ms: int) -> Notification | None:
    """Write down a delivery report; reports come out of order, so nothing goes back. None = no such message."""
    recent = c.created_ms > now_ms - _REPORTED_WITHIN_MS
    row = tx.execute(sa.select(notifications).where(recent, c.provider_id == report.provider_id).limit(1)).first()
    if row is None or _RANK.get(row.state, 9) >= _RANK[report.state.value]:
        return None
    values = {"state": report.state.value, "state_reason": report.text, "done_ms": now_ms}
    tx.execute(sa.update(notifications).where(c.id == row.id).values(**values))
    note = outbox.of_row(row)
    if note.incident:
        _event(tx, note, now_ms, f"notification_{report.state.value}", f"{note.kind.value} to {note.recipient}: {report.text}")
    return note


def first_cry(tx: Connection, id_: str) -> bool:
    """Mark that a page asked for another way; False when it did before."""
    extra = tx.execute(sa.select(c.extra).where(c.id == id_)).scalar() or {}
    if extra.get("fell_back"):
        return False
    tx.execute(sa.update(notifications).where(c.id == id_).values(extra={**extra, "fell_back": True}))
    return True


def keep_refs(tx: Connection, note: Notification, refs: dict[str, Any]) -> None:
    """Remember a channel's own notes (thread, message id) for the next message to the same address."""
    where = (channel_refs.c.incident == note.incident, channel_refs.c.order_key == note.order_key)
    if tx.execute(sa.update(channel_refs).where(*where).values(data=refs)).rowcount == 0:
        tx.execute(sa.insert(channel_refs).values(incident=note.incident, order_key=note.order_key, data=refs))


def late_pages(tx: Connection, now_ms: int, ttl_of: Callable[[str], int], *, asked: set[str]) -> list[Notification]:
    """Pages that nobody has accepted long after they were due and that have not asked for another way.

    `asked` is a cache of ids known to have asked.
    """
    query = sa.select(notifications).where(
        c.kind == NotificationKind.PAGE.value,
        c.state.in_((_PENDING, _SENDING)),
        c.created_ms <= now_ms - FALLBACK_AFTER_MS,
    )
    late = []
    for row in tx.execute(query.order_by(c.id)):
        if row.id in asked:
            continue
        if row.extra.get("fell_back"):
            asked.add(row.id)
        elif row.extra.get("crowded") and not row.attempts:
            continue  # It waits to be told together with others, not for a provider.
        else:
            patience_ms = fallback_after_ms(place=not row.settings_ref.startswith("user:"))
            if row.expires_ms - ttl_of(row.settings_ref) <= now_ms - patience_ms:
                late.append(outbox.of_row(row))
    return late


def next_due(tx: Connection, now_ms: int) -> int | None:
    """When the next row that is not due yet becomes due; None when there is none."""
    query = sa.select(sa.func.min(c.due_at_ms)).where(c.state.in_(outbox.WAITING), c.due_at_ms > now_ms)
    return tx.execute(query).scalar()


def count_states(tx: Connection) -> dict[str, int]:
    """How many rows wait, by state."""
    query = sa.select(c.state, sa.func.count()).where(c.state.in_((_PENDING, _SENDING, _HELD))).group_by(c.state)
    return {row[0]: int(row[1]) for row in tx.execute(query)}


def pages_under_way(tx: Connection, now_ms: int) -> bool:
    """Whether a page that is due has not been accepted yet: it may become late, so look often."""
    waiting = sa.and_(c.state == _PENDING, sa.or_(c.attempts > 0, c.due_at_ms <= now_ms))
    query = sa.select(c.id).where(c.kind == NotificationKind.PAGE.value, sa.or_(c.state == _SENDING, waiting))
    return tx.execute(query.limit(1)).first() is not None


def _event(tx: Connection, note: Notification, now_ms: int, verb: str, text: str) -> None:
    data = {"who": note.recipient, "channel": note.channel, "notification": note.id}
    events.record(tx, Event(now_ms, "system:deliver", verb, f"incident:{note.incident}", text, data, note.kind.value))
