"""Alert states in the state database: loaded once at start, written when something changed.

A transition, its state rows and its intake rows are one transaction (seam a of ARCHITECTURE): `save` is that transaction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from tocsin.model.alert import Alert, AlertPhase, AlertReason, AlertState, Transition
from tocsin.model.event import SYSTEM, Event
from tocsin.model.labels import Labels
from tocsin.rules.alerting import fires, resolves
from tocsin.rules.derived import CHECK_RULE
from tocsin.state import events, intake
from tocsin.state.schema import alert_states, check_states, markers, rule_groups


@dataclass(frozen=True, slots=True)
class Change:
    """What one evaluation wants kept: states to write, states to forget, alerts to hand on, lines for the timeline."""

    saved: tuple[AlertState, ...] = ()
    removed: tuple[AlertState, ...] = ()
    alerts: tuple[Alert, ...] = ()
    events: tuple[Event, ...] = ()
    trace_id: str = ""

    @property
    def empty(self) -> bool:
        return not (self.saved or self.removed or self.alerts or self.events)


def load(connection: Connection) -> dict[str, dict[Labels, AlertState]]:
    """rule id -> label set -> state."""
    found: dict[str, dict[Labels, AlertState]] = {}
    for row in connection.execute(sa.select(alert_states)):
        state = AlertState(
            rule_id=row.rule_id,
            labels=Labels(row.labels),
            phase=AlertPhase(row.phase),
            active_at_ms=row.active_at_ms,
            fired_at_ms=row.fired_at_ms,
            keep_firing_since_ms=row.keep_firing_since_ms,
            resolved_at_ms=row.resolved_at_ms,
            last_true_ms=row.last_true_ms,
            unknown_since_ms=row.unknown_since_ms,
            value=row.value,
            annotations=row.annotations,
            reason=AlertReason(row.reason),
            history=row.history,
            evaluations=row.evaluations,
        )
        found.setdefault(state.rule_id, {})[state.labels] = state
    return found


def last_evaluations(connection: Connection) -> dict[str, int]:
    """group key -> last evaluation that was noted."""
    return {row.key: row.last_evaluation_ms for row in connection.execute(sa.select(rule_groups))}


def last_deploys(connection: Connection, since_ms: int) -> dict[str, int]:
    """service ("" = all) -> its last deploy marker since then."""
    query = (
        sa.select(markers.c.service, sa.func.max(markers.c.t_ms).label("t_ms"))
        .where(markers.c.kind == "deploy", markers.c.t_ms >= since_ms)
        .group_by(markers.c.service)
    )
    return {row.service: row.t_ms for row in connection.execute(query)}


def save(tx: Connection, changes: Sequence[Change], evaluated: Mapping[str, int], now_ms: int) -> None:
    """Everything that these evaluations decided, inside the caller's transaction."""
    for change in changes:
        _upsert(tx, change.saved, now_ms)
        for state in change.removed:
            tx.execute(
                sa.delete(alert_states).where(
                    alert_states.c.rule_id == state.rule_id, alert_states.c.fingerprint == state.labels.fingerprint_hex()
                )
            )
        alerts = [_with_cause(tx, alert) for alert in change.alerts]
        intake.put(tx, alerts, now_ms=now_ms, trace_id=change.trace_id)
    events.record(tx, *(event for change in changes for event in change.events))
    for key, t_ms in evaluated.items():
        _note_evaluation(tx, key, t_ms)


def _with_cause(tx: Connection, alert: Alert) -> Alert:
    """An alert of a check's own rule says what the check saw last."""
    if alert.ends_at_ms or not alert.source.startswith(f"rule:{CHECK_RULE}"):
        return alert
    check_id = alert.source.removeprefix(f"rule:{CHECK_RULE}")
    query = sa.select(check_states.c.message).where(check_states.c.check_id == check_id, check_states.c.state == "down")
    messages = [text for text in tx.execute(query).scalars() if text]
    return replace(alert, annotations={**alert.annotations, "cause": "; ".join(messages)}) if messages else alert


def _upsert(tx: Connection, states: Iterable[AlertState], now_ms: int) -> None:
    rows = [
        {
            "rule_id": state.rule_id,
            "fingerprint": state.labels.fingerprint_hex(),
            "labels": dict(state.labels),
            "phase": state.phase.value,
            "active_at_ms": state.active_at_ms,
            "fired_at_ms": state.fired_at_ms,
            "keep_firing_since_ms": state.keep_firing_since_ms,
            "resolved_at_ms": state.resolved_at_ms,
            "last_true_ms": state.last_true_ms,
            "unknown_since_ms": state.unknown_since_ms,
            "value": 0.0 if math.isnan(state.value) else state.value,  # SQLite reads NaN as NULL
            "annotations": dict(state.annotations),
            "reason": state.reason.value,
            "history": state.history,
            "evaluations": state.evaluations,
            "extra": {},
            "updated_ms": now_ms,
        }
        for state in states
    ]
    if not rows:
        return
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(alert_states)
    keys = ("rule_id", "fingerprint")
    changes = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    tx.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changes), rows)


def _note_evaluation(tx: Connection, key: str, t_ms: int) -> None:
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(rule_groups).values(key=key, last_evaluation_ms=t_ms, data={})
    tx.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"last_evaluation_ms": t_ms}))


def alert_of(transition: Transition, *, generator_url: str) -> Alert | None:
    """What the dispatcher must be told of a transition; None where it is nobody's business yet."""
    if not (fires(transition) or resolves(transition)):
        return None
    return Alert(
        labels=transition.labels,
        annotations=transition.annotations,
        starts_at_ms=transition.active_at_ms,
        ends_at_ms=transition.at_ms if resolves(transition) else 0,
        updated_at_ms=transition.at_ms,
        generator_url=generator_url,
        source=f"rule:{transition.rule_id}",
        value=None if math.isnan(transition.value) else transition.value,
    )


def event_of(transition: Transition, alert: Alert, trace_id: str) -> Event:
    """The timeline's line for a transition that became `alert`."""
    verb = "fired" if fires(transition) else "resolved"
    name = transition.labels.get("alertname")
    return Event(
        t_ms=transition.at_ms,
        actor=str(SYSTEM),
        verb=verb,
        subject=f"alert:{alert.fingerprint}",
        text=f"{name} {verb}: {_BECAUSE[transition.reason]}" if transition.reason in _BECAUSE else f"{name} {verb}",
        data={
            "labels": dict(alert.labels),
            "value": transition.value if math.isfinite(transition.value) else None,
            "rule": transition.rule_id,
            "active_at_ms": transition.active_at_ms,
            "trace": trace_id,
        },
        cause=transition.reason.value,
    )


_BECAUSE = {
    AlertReason.HOLD_MET: "its condition held long enough",
    AlertReason.BECAME_FALSE: "its condition is no longer true",
    AlertReason.CLEAR_HELD: "its condition stayed clear long enough",
    AlertReason.RULE_REMOVED: "its rule was removed",
    AlertReason.RULE_CHANGED: "its rule was changed",
    AlertReason.LOST: "nothing was heard of it for a day (lost, not known to be good)",
}
