"""Schedule overrides that people enter: somebody else is on call for a while. Rows, resolved with the schedule each time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import CommandError
from tocsin.incidents.people import Directory
from tocsin.model.event import Actor, Event
from tocsin.state import events
from tocsin.state.schema import schedule_overrides

_LONGEST_MS = 366 * 86_400_000


def add(tx: Connection, args: Mapping[str, Any], directory: Directory, actor: Actor, now_ms: int) -> dict[str, Any]:
    """{schedule, start_ms, end_ms, users, mode: set | add} -> {id}. Raises CommandError."""
    schedule, users = str(args["schedule"]), [str(name) for name in args["users"]]
    start_ms, end_ms, mode = int(args["start_ms"]), int(args["end_ms"]), str(args.get("mode", "set"))
    if schedule not in directory.schedules:
        raise CommandError(404, "no_such_schedule", f"there is no schedule {schedule!r}")
    if strangers := sorted(set(users) - set(directory.persons)):
        raise CommandError(422, "no_such_user", f"there is no user {strangers[0]!r}")
    if mode not in ("set", "add") or not users:
        raise CommandError(422, "bad_override", "expected mode set or add, and at least one user")
    if not now_ms < end_ms <= start_ms + _LONGEST_MS or start_ms >= end_ms:
        raise CommandError(422, "bad_time", "an override ends after it starts, in the future, and lasts a year at most")
    override_id = str(uuid.uuid4())
    tx.execute(
        sa.insert(schedule_overrides).values(
            id=override_id,
            schedule=schedule,
            start_ms=start_ms,
            end_ms=end_ms,
            mode=mode,
            users=users,
            data={},
            created_by=actor.name,
            created_ms=now_ms,
        )
    )
    text = f"{actor.name} put {', '.join(users)} on call for {schedule}"
    data = {"start_ms": start_ms, "end_ms": end_ms, "mode": mode, "users": users}
    events.record(tx, Event(now_ms, str(actor), "override_added", f"schedule:{schedule}", text, data))
    return {"id": override_id}


def remove(tx: Connection, override_id: str, actor: Actor, now_ms: int) -> None:
    """Raises CommandError 404."""
    row = tx.execute(sa.select(schedule_overrides).where(schedule_overrides.c.id == override_id)).first()
    if row is None:
        raise CommandError(404, "no_such_override", f"there is no override {override_id!r}")
    tx.execute(sa.delete(schedule_overrides).where(schedule_overrides.c.id == override_id))
    text = f"{actor.name} removed the override of {', '.join(row.users)} on {row.schedule}"
    events.record(tx, Event(now_ms, str(actor), "override_removed", f"schedule:{row.schedule}", text))
