"""Several incidents under one message of a channel: a storm has one root, and what it spoke for is told in its thread.

    page of #1 ──▶ root A                          page of #1 ──▶ root A ◀── edited: the storm, with all that waited
    ten seconds later: the storm, with #2 .. #20       └─ later news of #1, #2 ... as replies under it

The notes of a channel (`channel_refs`) of an incident that shares a root of another say `guest`: it never edits that root.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.notification import NotificationKind, NotificationState
from tocsin.notify import questions as ask
from tocsin.state.prepared import Prepared
from tocsin.state.schema import channel_refs, incidents, notifications

GUEST = "guest"
_LOOK_BACK_MS = 300_000
_CREATED_WITHIN_MS = 2 * 3_600_000
_ONE_WITH = "in one message with "
n, r, i = notifications.c, channel_refs.c, incidents.c
_CARRIED = Prepared(
    sa.select(n.state_reason)
    .where(
        n.incident == sa.bindparam("of"),
        n.settings_ref == sa.bindparam("ref"),
        n.state == NotificationState.BUNDLED.value,
        n.state_reason.startswith(_ONE_WITH),
    )
    .order_by(n.id.desc())
    .limit(1)
)
_OURS = Prepared(sa.select(i.receiver, i.service).where(i.number == sa.bindparam("of")))
_HOSTS = Prepared(
    sa.select(r.incident, r.order_key, r.data)
    .join(notifications, sa.and_(n.incident == r.incident, n.order_key == r.order_key))
    .join(incidents, i.number == r.incident)
    .where(
        n.settings_ref == sa.bindparam("ref"),
        n.kind == NotificationKind.PAGE.value,
        n.state.in_(ask.TOLD),
        n.incident != sa.bindparam("but"),
        n.created_ms > sa.bindparam("created_after"),
        n.sent_ms > sa.bindparam("sent_after"),
        i.receiver == sa.bindparam("for_receiver"),
        i.service == sa.bindparam("of_service"),
    )
    .order_by(n.sent_ms.desc())
)


def settle(tx: Connection, row: Any, now_ms: int) -> None:
    """Before the first message of an incident to an address: does it go under the message of another?"""
    if not row.incident or ask.REFS.scalar(tx, of=row.incident, key=row.order_key) is not None:
        return
    if row.payload.get("storm"):
        _take_over(tx, row, now_ms)
    elif carried := _CARRIED.scalar(tx, of=row.incident, ref=row.settings_ref):
        carrier = ask.ROW.first(tx, of=carried.removeprefix(_ONE_WITH))
        shared = ask.REFS.scalar(tx, of=carrier.incident, key=carrier.order_key) if carrier is not None else None
        if shared:
            _note(tx, row.incident, row.order_key, {**shared, GUEST: True})


def _take_over(tx: Connection, storm: Any, now_ms: int) -> None:
    """The root of the page that went out just before the storm was one becomes the storm's."""
    ours = _OURS.first(tx, of=storm.incident)
    if ours is None:
        return
    hosts = _HOSTS.all(
        tx,
        ref=storm.settings_ref,
        but=storm.incident,
        created_after=now_ms - _CREATED_WITHIN_MS,
        sent_after=now_ms - _LOOK_BACK_MS,
        for_receiver=ours.receiver,
        of_service=ours.service,
    )
    host = next((one for one in hosts if one.data and not one.data.get(GUEST)), None)
    if host is None:
        return
    mine = (r.incident == host.incident, r.order_key == host.order_key)
    tx.execute(sa.update(channel_refs).where(*mine).values(data={**host.data, GUEST: True}))
    _note(tx, storm.incident, storm.order_key, host.data)


def _note(tx: Connection, incident: int, order_key: str, data: dict[str, Any]) -> None:
    tx.execute(sa.insert(channel_refs).values(incident=incident, order_key=order_key, data=data))
