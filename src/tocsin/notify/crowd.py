"""Many incidents at once for one person: a few messages, then one message about all that wait. Each keeps its row."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.notification import NotificationKind, NotificationState
from tocsin.notify import questions as ask
from tocsin.notify.channel import registry
from tocsin.notify.claim import SPACED, judge
from tocsin.notify.retry import room_at
from tocsin.state.schema import notifications

_KINDS = (NotificationKind.PAGE.value, NotificationKind.RESOLVED.value)
_NEWS_TTL_MS = 900_000
_LOOK_BACK_MS = 300_000
_CREATED_WITHIN_MS = 2 * 3_600_000
_MOST_RECENT = 5
c = notifications.c


def waits(tx: Connection, row: Any, now_ms: int, *, interrupts: bool) -> bool:
    """Put a message to a person off while they have heard of much in a short time. True = it waits."""
    if not _for_person(row) or row.attempts:
        return False
    allowed_ms = room_at(_recent(tx, row, now_ms), now_ms, interrupts=interrupts)
    if allowed_ms <= now_ms:
        return False
    ask.PUT_OFF.run(
        tx,
        of=row.id,
        due=allowed_ms,
        until=max(row.expires_ms, allowed_ms + row.expires_ms - row.due_at_ms),
        why="waits to be told together with others",
        more={**row.extra, "crowded": True},
    )
    return True


def gather(tx: Connection, row: Any, now_ms: int, *, interrupts: bool) -> Any:
    """Take what waited for the same person and method into this message; returns the row as it is then."""
    if not _for_person(row) or row.attempts:
        return row
    found = ask.CROWD.all(tx, ref=row.settings_ref, of_kind=row.kind, but=row.incident, now=now_ms)
    others = [other for other in found if other.extra.get("crowded")]
    wanted = [other for other in others if judge(tx, other, now_ms, interrupts=interrupts).state is None]
    if not wanted:
        return row
    # A storm's own message speaks for the incidents around it, and its news will be found in the same thread.
    carrier = next((one for one in (row, *wanted) if one.payload.get("storm")), None) or _most_urgent(row, *wanted)
    wanted = [one for one in (row, *wanted) if one.id != carrier.id]
    row = carrier
    reason = f"in one message with {row.id}"
    tx.execute(
        sa.update(notifications)
        .where(c.id.in_([other.id for other in wanted]))
        .values(state=NotificationState.BUNDLED.value, state_reason=reason, done_ms=now_ms)
    )
    together = [{"number": one.incident, "title": _title(one)} for one in wanted]
    tx.execute(sa.update(notifications).where(c.id == row.id).values(payload={**row.payload, "together": together}))
    return ask.ROW.first(tx, of=row.id)


def _most_urgent(*rows: Any) -> Any:
    """The first of high urgency, else the first: what may wake somebody is never a line in a mail about a warning."""
    return next((row for row in rows if row.payload.get("incident", {}).get("urgency") == "high"), rows[0])


def _title(row: Any) -> str:
    return str(row.payload.get("incident", {}).get("title", ""))


def spaced(tx: Connection, row: Any, now_ms: int, *, every_ms: int) -> bool:
    """Put mere news of a storm off while its last message to this address is younger than `every_ms`. True = it waits.

    What waits does not stand in the way of the incident's end, and what has changed by then is decided then.
    """
    if row.kind != NotificationKind.UPDATE.value or not row.payload.get("storm") or not every_ms or row.attempts:
        return False
    last = sa.select(sa.func.max(c.sent_ms)).where(c.order_key == row.order_key, c.id < row.id)
    allowed_ms = min(int(tx.execute(last).scalar() or 0), now_ms) + every_ms
    if allowed_ms <= now_ms:
        return False
    values = {"due_at_ms": allowed_ms, "expires_ms": max(row.expires_ms, allowed_ms + _NEWS_TTL_MS), "state_reason": SPACED}
    tx.execute(sa.update(notifications).where(c.id == row.id).values(**values))
    return True


def _for_person(row: Any) -> bool:
    if not row.settings_ref.startswith("user:") or row.kind not in _KINDS:
        return False
    kind = registry().get(row.channel)
    return kind is None or not kind.for_programs


def _recent(tx: Connection, row: Any, now_ms: int) -> list[int]:
    """When the last messages of this kind to this method began, newest first; those about the same incident do not count."""
    after = {"created_after": now_ms - _CREATED_WITHIN_MS, "sent_after": now_ms - _LOOK_BACK_MS + 1, "now": now_ms}
    found = ask.RECENT.all(tx, ref=row.settings_ref, of_kind=row.kind, but=row.incident, most=_MOST_RECENT, **after)
    return [sent_ms for (sent_ms,) in found]
