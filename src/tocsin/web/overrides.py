"""Overrides of on-call schedules that people enter: plain functions in the caller's transaction, run by the core as commands."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.model.event import Actor, Event
from tocsin.state import events
from tocsin.state.schema import schedule_overrides

MODES = ("set", "add")
_LONGEST_MS = 366 * 86_400_000


def add_override(
    tx: Connection,
    *,
    override_id: str,
    schedule: str,
    start_ms: int,
    end_ms: int,
    users: Sequence[str],
    mode: str,
    actor: Actor,
    now_ms: int,
) -> None:
    """Put `users` on call in `schedule` within [start_ms, end_ms): instead of (`set`) or beside (`add`) whose turn it is.

    Raises CommandError 422: no time left, too long, nobody, or an unknown mode.
    """
    if not start_ms < end_ms or end_ms <= now_ms:
        raise CommandError(422, "bad_time", "an override ends after it starts, and not in the past")
    if end_ms - start_ms > _LONGEST_MS:
        raise CommandError(422, "bad_time", "an override lasts a year at most; change the schedule instead")
    if not users or mode not in MODES:
        raise CommandError(422, "bad_override", f"expected at least one person and a mode of {', '.join(MODES)}")
    tx.execute(
        sa.insert(schedule_overrides).values(
            id=override_id,
            schedule=schedule,
            start_ms=start_ms,
            end_ms=end_ms,
            mode=mode,
            users=list(users),
            data={},
            created_by=str(actor),
            created_ms=now_ms,
        )
    )
    text = f"{actor.name} put {', '.join(users)} on call in {schedule}"
    data = {"id": override_id, "start_ms": start_ms, "end_ms": end_ms, "users": list(users), "mode": mode}
    events.record(tx, Event(now_ms, str(actor), "override_added", f"schedule:{schedule}", text, data))


def remove_override(tx: Connection, override_id: str, *, actor: Actor, now_ms: int) -> None:
    """End an override: one that runs now ends now and stays as history, one to come is gone. Raises CommandError 404."""
    c = schedule_overrides.c
    row = tx.execute(sa.select(schedule_overrides).where(c.id == override_id, c.end_ms > now_ms)).first()
    if row is None:
        raise CommandError(404, "no_such_override", "there is no such override, or it is over")
    if row.start_ms < now_ms:
        tx.execute(sa.update(schedule_overrides).where(c.id == override_id).values(end_ms=now_ms))
    else:
        tx.execute(sa.delete(schedule_overrides).where(c.id == override_id))
    text = f"{actor.name} ended the override of {', '.join(row.users)} in {row.schedule}"
    events.record(tx, Event(now_ms, str(actor), "override_removed", f"schedule:{row.schedule}", text, {"id": override_id}))
