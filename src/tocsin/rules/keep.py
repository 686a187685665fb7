"""Alert states in the state database: loaded once at start, written when something changed.

A transition, its state rows and its intake rows are one transaction (seam a of ARCHITECTURE): `save` is that transaction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.alert import Alert, AlertPhase, AlertReason, AlertState
from tocsin.model.labels import Labels
from tocsin.rules.change import Change, Kept
from tocsin.rules.derived import CHECK_RULE
from tocsin.rules.flapping import Flap
from tocsin.state import bulk, events, intake
from tocsin.state.schema import alert_states, check_states, markers, rule_groups


def load(connection: Connection) -> dict[str, dict[Labels, Kept]]:
    """rule id -> label set -> state."""
    found: dict[str, dict[Labels, Kept]] = {}
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
            flapping_since_ms=row.flapping_since_ms,
            note=row.note,
            below=Labels(row.extra["below"]) if "below" in row.extra else None,
            held_since_ms=row.extra.get("held_since_ms", 0),
        )
        since_ms = row.flapping_since_ms
        flap = Flap(row.results, 0, row.extra.get("changed_ms", 0), since_ms) if since_ms and row.results else None
        found.setdefault(state.rule_id, {})[state.labels] = Kept(state, flap)
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
        _forget(tx, change.removed)
        alerts = [_with_cause(tx, alert) for alert in change.alerts]
        intake.put(tx, alerts, now_ms=now_ms, trace_id=change.trace_id)
    events.record(tx, *(event for change in changes for event in change.events))
    for key, t_ms in evaluated.items():
        _note_evaluation(tx, key, t_ms)


def _forget(tx: Connection, states: Iterable[AlertState]) -> None:
    c = alert_states.c
    rows = [{"rule": state.rule_id, "print": state.labels.fingerprint_hex()} for state in states]
    statement = sa.delete(alert_states).where(c.rule_id == sa.bindparam("rule"), c.fingerprint == sa.bindparam("print"))
    bulk.execute(tx, statement, rows)


def _with_cause(tx: Connection, alert: Alert) -> Alert:
    """An alert of a check's own rule says what the check saw last."""
    if alert.ends_at_ms or not alert.source.startswith(f"rule:{CHECK_RULE}"):
        return alert
    check_id = alert.source.removeprefix(f"rule:{CHECK_RULE}")
    query = sa.select(check_states.c.message).where(check_states.c.check_id == check_id, check_states.c.state == "down")
    messages = [text for text in tx.execute(query).scalars() if text]
    return replace(alert, annotations={**alert.annotations, "cause": "; ".join(messages)}) if messages else alert


def _upsert(tx: Connection, saved: Iterable[Kept], now_ms: int) -> None:
    bulk.upsert_rows(tx, alert_states, ("rule_id", "fingerprint"), [_row(kept, now_ms) for kept in saved])


def _row(kept: Kept, now_ms: int) -> dict[str, object]:
    state, flap = kept.state, kept.flap
    extra: dict[str, object] = {"held_since_ms": state.held_since_ms} if state.held_since_ms else {}
    if state.below is not None:
        extra["below"] = dict(state.below.pairs)
    if flap is not None:
        extra["changed_ms"] = flap.changed_ms
    return {
        "rule_id": state.rule_id,
        "fingerprint": state.labels.fingerprint_hex(),
        "labels": dict(state.labels.pairs),
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
        "extra": extra,
        "updated_ms": now_ms,
        "flapping_since_ms": state.flapping_since_ms,
        "results": flap.results if flap is not None else 0,
        "note": state.note,
        "told_as": kept.told_as,
        "below": kept.below,
    }


def _note_evaluation(tx: Connection, key: str, t_ms: int) -> None:
    bulk.upsert_rows(tx, rule_groups, "key", [{"key": key, "last_evaluation_ms": t_ms, "data": {}}])
