"""The auditor: every open incident must have a future, and every executed step its messages. What has none is repaired and told.

Escalations do get lost, in every system that was watched for it; this looks at the rows from outside the code that writes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents import rows
from tocsin.model.incident import Incident, IncidentState
from tocsin.state.schema import incidents, notifications, timers

OVERDUE_MS = 120_000
_STUCK_MS = 600_000


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
    query = sa.select(incidents).where(incidents.c.state.in_(rows.OPEN))
    for row in tx.execute(query):
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
    if incident.state is IncidentState.SNOOZED:
        waiting = sa.select(timers.c.id).where(timers.c.subject == f"incident:{number}", timers.c.kind == "snooze")
        if tx.execute(waiting).first() is None:
            return Finding(number, "snoozed, but nothing will wake it", repair=True)
    return None


def _has_notifications(tx: Connection, number: int) -> bool:
    return tx.execute(sa.select(notifications.c.id).where(notifications.c.incident == number).limit(1)).first() is not None


def _stuck(tx: Connection, now_ms: int) -> list[Finding]:
    """Messages under a lease that ran out long ago: their sender is gone and nobody noticed."""
    c = notifications.c
    query = sa.select(c.id, c.incident, c.channel).where(c.state == "sending", c.lease_until_ms < now_ms - _STUCK_MS)
    return [Finding(row.incident, f"a message by {row.channel} has been under way for too long") for row in tx.execute(query)]
