"""What the escalator asks its tables at every look, prepared."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from tocsin.model.incident import IncidentState
from tocsin.state.prepared import Prepared
from tocsin.state.schema import incidents, schedule_overrides, timers

_i, _t, _o = incidents.c, timers.c, schedule_overrides.c
_TRIGGERED = IncidentState.TRIGGERED.value
_OPEN = tuple(state.value for state in IncidentState if state.open)

TRIGGERED = Prepared(sa.select(_i.number).where(_i.state == _TRIGGERED))
TIMERS = Prepared(
    sa.select(timers)
    .where(_t.due_at_ms <= bindparam("now"), _t.subject.like("incident:%"))
    .order_by(_t.due_at_ms, _t.id)
    .limit(bindparam("most"))
)
STEPS = Prepared(
    sa.select(incidents)
    .where(_i.state == _TRIGGERED, _i.next_escalation_at_ms > 0, _i.next_escalation_at_ms <= bindparam("now"))
    .order_by(_i.next_escalation_at_ms, _i.number)
    .limit(bindparam("most"))
)
COUNTS = Prepared(
    sa.select(_i.state, sa.func.count().label("n"))
    .where(_i.state.in_(bindparam("states", expanding=True)), _i.listed)
    .group_by(_i.state)
)
OVERRIDES = Prepared(sa.select(schedule_overrides).where(_o.end_ms > bindparam("now")).order_by(_o.created_ms, _o.id))


def _soonest() -> sa.Select[Any]:
    """(when the next step is due, when the next timer is)."""
    step = sa.select(sa.func.min(_i.next_escalation_at_ms)).where(_i.state == _TRIGGERED, _i.next_escalation_at_ms > 0)
    timer = sa.select(sa.func.min(_t.due_at_ms)).where(_t.subject.like("incident:%"))
    return sa.select(step.scalar_subquery().label("step"), timer.scalar_subquery().label("timer"))


SOONEST = Prepared(_soonest())


def follow_clock(tx: Connection, step_ms: int) -> None:
    """Move steps and timers with a wall clock that was moved. A snooze ends at the hour that a person named."""
    tx.execute(
        sa.update(incidents).where(_i.next_escalation_at_ms > 0).values(next_escalation_at_ms=_i.next_escalation_at_ms + step_ms)
    )
    subjects = [f"incident:{number}" for (number,) in tx.execute(sa.select(_i.number).where(_i.state.in_(_OPEN)))]
    tx.execute(sa.update(timers).where(_t.subject.in_(subjects), _t.kind != "snooze").values(due_at_ms=_t.due_at_ms + step_ms))
