"""The outbox seen by the deliverer: what is due, in which order, claimed under a lease, with every attempt on record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.model.event import Event
from tocsin.model.incident import IncidentState
from tocsin.model.notification import Delivery, Notification, NotificationKind, NotificationState
from tocsin.notify import questions as ask
from tocsin.notify.inbound import Report
from tocsin.notify.redecide import Now, Verdict, redecide
from tocsin.notify.retry import FALLBACK_AFTER_MS, Next, fallback_after_ms
from tocsin.state import events, outbox
from tocsin.state.muted import muted
from tocsin.state.schema import attempts, channel_refs, notifications

LEASE_MS = 90_000
MOST_AT_ONCE = 200
_MOST_CANDIDATES = 2000
_HUSH_MS = 5_000
_REPORTED_WITHIN_MS = 3 * 86_400_000
_PENDING, _SENDING = "pending", "sending"
_RANK = {"accepted": 0, "failed": 1, "delivered": 1, "read": 2}
SPACED = "waits: news of a storm come here now and then, not each at once"
c = notifications.c
_DUE = ask.due(put_off_freely=SPACED, most=_MOST_CANDIDATES)


@dataclass(frozen=True, slots=True)
class Claimed:
    """One row under our lease, ready to be sent."""

    note: Notification
    attempt_id: int
    possible_repeat: bool
    refs: dict[str, Any]
    moved_ms: int
    """By how much the wall clock had been moved in all when it was claimed: the note's times are of that clock."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was decided against; a page that expired wants another way."""

    note: Notification
    verdict: Verdict


def recover(tx: Connection, *, owner: str, now_ms: int, everything: bool) -> int:
    """Void the leases of the dead: what they were sending may have arrived and is sent again, marked. Returns how many.

    `everything`: this process is the only one that can send (SQLite); else only leases that ran out count as dead.
    """
    dead = c.lease_owner != owner
    return _void(tx, dead if everything else sa.and_(dead, c.lease_until_ms < now_ms), now_ms)


def hand_back(tx: Connection, *, owner: str, now_ms: int) -> int:
    """Void our own leases because we end: whoever sends next need not wait for them to run out. Returns how many."""
    return _void(tx, c.lease_owner == owner, now_ms)


def _void(tx: Connection, whose: sa.ColumnElement[bool], now_ms: int) -> int:
    found = tx.execute(sa.select(c.id).where(c.state == _SENDING, whose)).all()
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


def follow_clock(tx: Connection, step_ms: int, *, now_ms: int, fresh_ms: int) -> None:
    """Move what waits or is being sent with a wall clock that was moved; what was written since (`fresh_ms`) is right already."""
    tx.execute(
        sa.update(notifications)
        .where(c.state.in_((_PENDING, _SENDING)), sa.not_(c.created_ms.between(now_ms - fresh_ms, now_ms)))
        .values(
            created_ms=c.created_ms + step_ms,
            due_at_ms=c.due_at_ms + step_ms,
            expires_ms=c.expires_ms + step_ms,
            lease_until_ms=sa.case((c.lease_until_ms > 0, c.lease_until_ms + step_ms), else_=0),
        )
    )


def due(tx: Connection, now_ms: int, *, blocked: Iterable[str] = ()) -> list[Any]:
    """Rows that may be sent now, oldest first: due, at the head of their order key, not of a blocked settings reference."""
    return _DUE.all(tx, now=now_ms, blocked=list(blocked) or [""])


def hushed(tx: Connection, row: Any, now_ms: int) -> bool:
    """A page whose incident was silenced meanwhile waits (True): the escalator cancels it, or the silence ends first."""
    if row.kind != NotificationKind.PAGE.value or not (by := muted(tx, [row.incident]).get(row.incident)):
        return False
    tx.execute(
        sa.update(notifications).where(c.id == row.id).values(due_at_ms=now_ms + _HUSH_MS, state_reason=f"suppressed ({by})")
    )
    return True


def still_waits(tx: Connection, id_: str) -> bool:
    return ask.STATE.scalar(tx, of=id_) in outbox.WAITING


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
        of_group=bool(row.payload.get("of_group")),
    )


def _now(tx: Connection, row: Any, now_ms: int) -> Now:
    if not row.incident:
        return Now(state=None)
    found = ask.NOW.first(tx, of=row.incident, key=row.order_key, than=row.id, now=now_ms)
    if found is None:
        return Now(state=None)
    return Now(
        state=IncidentState(found.state),
        holder=found.acknowledged_by,
        newer=(found.newer or "") if row.kind in ask.STATE_OF_WORLD else "",
        moved=row.payload.get("incident", {}).get("state", found.state) != found.state,
        told=found.told is not None,
    )


def drop(tx: Connection, row: Any, verdict: Verdict, now_ms: int) -> Dropped:
    """Write down that a row is not sent, and why."""
    assert verdict.state is not None
    ask.DROP.run(tx, of=row.id, to_state=verdict.state.value, why=verdict.reason, now=now_ms)
    note = outbox.of_row(row)
    if note.incident:
        text = f"{note.kind.value} to {note.recipient} by {note.channel} not sent: {verdict.reason}"
        _event(tx, note, now_ms, f"notification_{verdict.state.value}", text)
    return Dropped(note, verdict)


def claim(tx: Connection, row: Any, *, owner: str, now_ms: int, moved_ms: int) -> Claimed:
    """Take the lease and open the attempt."""
    n = row.attempts + 1
    ask.LEASE.run(tx, of=row.id, n=n, owner=owner, until=now_ms + LEASE_MS, sent=row.sent_ms or now_ms)
    opened = ask.ATTEMPT.scalar(tx, note=row.id, nth=n, now=now_ms)
    refs = ask.REFS.scalar(tx, of=row.incident, key=row.order_key) or {}
    return Claimed(outbox.of_row(row), int(opened), bool(row.possible_repeat), dict(refs), moved_ms)


def finish(tx: Connection, claimed: Claimed, delivery: Delivery, following: Next, now_ms: int, *, attempts_made: int) -> bool:
    """Write down what an attempt came to. True when the page wants another way and has not asked for one yet."""
    note = claimed.note
    ask.ATTEMPT_ENDED.run(
        tx,
        of=claimed.attempt_id,
        now=now_ms,
        result=delivery.outcome.value,
        code=delivery.status,
        why=delivery.reason,
        theirs=delivery.provider_id,
    )
    again = following.state is NotificationState.PENDING
    ask.FINISH.run(
        tx,
        of=note.id,
        to_state=following.state.value,
        why=delivery.reason or following.why.value,
        due=following.due_at_ms if again else note.due_at_ms,
        done=0 if again else now_ms,
        theirs=delivery.provider_id or note.provider_id,
        repeat=following.possible_repeat or claimed.possible_repeat,
    )
    if following.state in (NotificationState.FAILED, NotificationState.EXPIRED) and note.incident:
        text = (
            f"{note.kind.value} to {note.recipient} by {note.channel} {following.state.value} "
            f"after {attempts_made} attempt{'s' if attempts_made > 1 else ''}: {delivery.reason}"
        )
        _event(tx, note, now_ms, f"notification_{following.state.value}", text)
    return following.fall_back and first_cry(tx, note.id)


def send_again(tx: Connection, id_: str, now_ms: int, ttl_of: Callable[[str], int]) -> None:
    """Put a message that failed back into the outbox. Raises CommandError 404 or 409."""
    row = tx.execute(sa.select(notifications).where(c.id == id_)).first()
    if row is None:
        raise CommandError(404, "not_found", f"there is no notification {id_}")
    if row.state not in ("failed", "expired", "cancelled"):
        raise CommandError(409, "wrong_state", f"the notification is {row.state}: only a failed one can be sent again")
    values = {"state": _PENDING, "due_at_ms": now_ms, "expires_ms": now_ms + ttl_of(row.settings_ref), "done_ms": 0}
    tx.execute(sa.update(notifications).where(c.id == id_).values(**values))


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
    extra = ask.EXTRA.scalar(tx, of=id_) or {}
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
    late = []
    for row in ask.UNACCEPTED.all(tx, before=now_ms - FALLBACK_AFTER_MS):
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


def _event(tx: Connection, note: Notification, now_ms: int, verb: str, text: str) -> None:
    data = {"who": note.recipient, "channel": note.channel, "notification": note.id}
    events.record(tx, Event(now_ms, "system:deliver", verb, f"incident:{note.incident}", text, data, note.kind.value))
