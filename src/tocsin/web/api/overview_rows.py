"""What the home screen shows of the state database: one read transaction, of now or of then, of everything or of a scope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents.people import Directory
from tocsin.model.check import CheckState
from tocsin.state.schema import declared_checks, events, incident_alerts, meta
from tocsin.web.api import past
from tocsin.web.api.alert_rows import RuleIndex, alert_rows, alerts_at
from tocsin.web.api.check_lines import check_rows, standings
from tocsin.web.api.check_shapes import CheckRow
from tocsin.web.api.incidents import open_incidents
from tocsin.web.api.recent_changes import recent_changes
from tocsin.web.api.scope import Scope
from tocsin.web.api.services import Judged
from tocsin.web.api.shapes import AlertRow, ChangeRow

_PROBLEMS = (CheckState.DOWN, CheckState.DEGRADED, CheckState.UNKNOWN)
_DRILL = "check:break-it-drill"
"""What the dashboard's "Break it" adds and removes (ui/src/lib/drill.ts)."""
_NO_RULES = RuleIndex({}, {})
"""Alerts are only counted here: which rule they came of is not asked for."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What one read transaction sees."""

    checks: Sequence[Judged]
    problems: Sequence[CheckRow]
    """Of those checks that are not well."""
    alerts: Sequence[AlertRow]
    incidents: Sequence[Mapping[str, Any]]
    changes: Sequence[ChangeRow]
    watched: bool
    """There is a check somewhere, in the scope or not."""
    broken: bool
    """Somebody has tried what a page is like."""
    dismissed: bool

    @classmethod
    def read(cls, tx: Connection, specs: Sequence[Mapping[str, Any]], directory: Directory, scope: Scope, now_ms: int) -> Rows:
        within = [spec for spec in specs if scope.holds(spec.get("labels", {}))] if scope else specs
        checks = standings(tx, within)
        troubled = [spec for spec, check in zip(within, checks, strict=True) if check.state in _PROBLEMS]
        declared = tx.execute(sa.select(sa.func.count()).select_from(declared_checks)).scalar() or 0
        return cls(
            checks=checks,
            problems=check_rows(tx, troubled, now_ms),
            alerts=_within(scope, alert_rows(tx, {"firing", "clearing", "pending"}, _NO_RULES, now_ms)),
            incidents=_incidents(tx, scope, open_incidents(tx, directory)),
            changes=recent_changes(tx, now_ms, scope, _labels_of(specs)),
            watched=bool(specs) or declared > 0,
            broken=tx.execute(sa.select(events.c.id).where(events.c.subject == _DRILL).limit(1)).first() is not None,
            dismissed=tx.execute(sa.select(meta.c.value).where(meta.c.key == "checklist")).scalar() == "dismissed",
        )

    @classmethod
    def at(cls, tx: Connection, specs: Sequence[Mapping[str, Any]], directory: Directory, scope: Scope, at_ms: int) -> Rows:
        checks = [row for row in past.checks_at(tx, specs, at_ms) if scope.holds(row.labels)]
        return cls(
            checks=checks,
            problems=[row for row in checks if row.state in _PROBLEMS],
            alerts=_within(scope, alerts_at(tx, _NO_RULES, at_ms)),
            incidents=_incidents(tx, scope, past.incidents_at(tx, directory, at_ms)),
            changes=recent_changes(tx, at_ms, scope, _labels_of(specs)),
            watched=True,
            broken=False,
            dismissed=True,
        )


def _labels_of(specs: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    return {spec["id"]: spec.get("labels", {}) for spec in specs}


def _within(scope: Scope, rows: Sequence[AlertRow]) -> Sequence[AlertRow]:
    return [row for row in rows if scope.holds(row.labels)] if scope else rows


def _incidents(tx: Connection, scope: Scope, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Those with an alert in the scope. One without alerts has its service: it goes only where that speaks against it."""
    if not scope:
        return rows
    c = incident_alerts.c
    labels: dict[int, list[Mapping[str, str]]] = defaultdict(list)
    for row in tx.execute(sa.select(c.incident, c.labels).where(c.incident.in_([row["number"] for row in rows]))):
        labels[row.incident].append(row.labels)

    def concerned(row: Mapping[str, Any]) -> bool:
        if known := labels.get(row["number"]):
            return any(map(scope.holds, known))
        return scope.judge({"service": row["service"]}) is not False

    return [row for row in rows if concerned(row)]
