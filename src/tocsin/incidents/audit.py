"""The auditor: every open incident must have a future, and every executed step its messages. What has none is repaired and told.

Escalations do get lost, in every system that was watched for it; this looks at the rows from outside the code that writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents import rows
from tocsin.model.incident import Incident, IncidentState
from tocsin.state.prepared import Prepared
from tocsin.state.schema import incidents, notifications, timers

OVERDUE_MS = 120_000
_STUCK_MS = 600_000
_n = notifications.c
_of: sa.BindParameter[Any] = sa.bindparam("of")
_OPEN = Prepared(sa.select(incidents).where(incidents.c.state.in_(rows.OPEN)))
_WAKES = Prepared(sa.select(timers.c.id).where(timers.c.subject == _of, timers.c.kind == "snooze"))
_MESSAGE = Prepared(sa.select(_n.id).where(_n.incident == _of).limit(1))
_LONG_UNDER_WAY = Prepared(
    sa.select(_n.id, _n.incident, _n.channel).where(_n.state == "sending", _n.lease_until_ms < sa.bindparam("before"))
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`incident` 0 = not about one."""

    incident: int
    text: str
    repair: bool = False
    """Paging must start anew."""


def audit(tx: Connection, now_ms: int) -> list[Finding]:
    """Everything that should not be."""
    found = []
    for row in _OPEN.all(tx):
        incident = rows.of_row(row)
        if finding := _judge(tx, incident, now_ms):
            found.append(finding)
    return [*found, *_stuck(tx, now_ms)]


def _judge(tx: Connection, incident: Incident, now_ms: int) -> Finding | None:
    number = incident.number
    if incident.state is IncidentState.TRIGGERED:
        exhausted = incident.step > len(incident.policy.steps)
        if not incident.next_escalation_at_ms and not exhausted:
            return Finding(number, "triggered, but no escalation is due at any time", repair=True)
        if 0 < incident.next_escalation_at_ms < now_ms - OVERDUE_MS:
            return Finding(number, "its escalation is overdue")
        if exhausted and not _has_notifications(tx, number):
            return Finding(number, "its whole policy was executed and there is not one message", repair=False)
    if incident.state is IncidentState.SNOOZED and _WAKES.first(tx, of=f"incident:{number}") is None:
        return Finding(number, "snoozed, but nothing will wake it", repair=True)
    return None


def _has_notifications(tx: Connection, number: int) -> bool:
    return _MESSAGE.first(tx, of=number) is not None


def _stuck(tx: Connection, now_ms: int) -> list[Finding]:
    """Messages under a lease that ran out long ago: their sender is gone and nobody noticed."""
    found = _LONG_UNDER_WAY.all(tx, before=now_ms - _STUCK_MS)
    return [Finding(row.incident, f"a message by {row.channel} has been under way for too long") for row in found]
