"""Rules and alerts in the JSON shapes of Prometheus's /api/v1/rules and /api/v1/alerts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tocsin.formats.goformat import format_float
from tocsin.model.alert import AlertPhase, AlertState
from tocsin.model.rule import AlertRule
from tocsin.rules.alerting import is_firing
from tocsin.rules.group import GroupRun, RuleRun

_ZERO_TIME = "0001-01-01T00:00:00Z"


def shown_groups(groups: Iterable[GroupRun]) -> list[dict[str, Any]]:
    """Sorted by file and name, as Prometheus does."""
    return [_group(run) for run in sorted(groups, key=lambda run: (run.group.file, run.group.name))]


def shown_alerts(groups: Iterable[GroupRun]) -> list[dict[str, Any]]:
    return [alert for group in groups for run in group.runs for alert in _alerts(run)]


def _group(group: GroupRun) -> dict[str, Any]:
    return {
        "name": group.group.name,
        "file": group.group.file,
        "rules": [_rule(run) for run in group.runs],
        "interval": group.group.interval_ms / 1000,
        "limit": group.group.limit,
        "evaluationTime": sum(run.duration_s for run in group.runs),
        "lastEvaluation": _time(max((run.evaluated_ms for run in group.runs), default=0)),
    }


def _rule(run: RuleRun) -> dict[str, Any]:
    rule = run.rule
    common: dict[str, Any] = {
        "name": rule.name,
        "query": rule.expr,
        "labels": dict(rule.labels),
        "health": run.health,
        "evaluationTime": run.duration_s,
        "lastEvaluation": _time(run.evaluated_ms),
    }
    if run.error:
        common["lastError"] = run.error
    if not isinstance(rule, AlertRule):
        return {**common, "type": "recording"}
    return {
        "state": run.phase.value,
        **common,
        "duration": rule.for_ms / 1000,
        "keepFiringFor": rule.keep_firing_for_ms / 1000,
        "annotations": dict(rule.annotations),
        "alerts": _alerts(run),
        "type": "alerting",
        "tocsin": {"id": rule.id, "semantics": rule.semantics.value, "check": rule.check_id, "place": str(rule.place)},
    }


def _alerts(run: RuleRun) -> list[dict[str, Any]]:
    return [_alert(state) for state in run.states.values() if state.phase is not AlertPhase.INACTIVE]


def _alert(state: AlertState) -> dict[str, Any]:
    shown = {
        "labels": dict(state.labels),
        "annotations": dict(state.annotations),
        "state": "firing" if is_firing(state.phase) else "pending",
        "activeAt": _time(state.active_at_ms),
        "value": format_float(state.value, "e", -1),
        "tocsin": {
            "fingerprint": state.labels.fingerprint_hex(),
            "phase": state.phase.value,
            "reason": state.reason.value,
            "note": state.note,
            "flapping": state.note if state.flapping_since_ms else "",
            "flappingSince": _time(state.flapping_since_ms) if state.flapping_since_ms else None,
            "unknownSince": _time(state.unknown_since_ms) if state.unknown_since_ms else None,
        },
    }
    if state.keep_firing_since_ms:
        shown["keepFiringSince"] = _time(state.keep_firing_since_ms)
    return shown


def _time(t_ms: int) -> str:
    """RFC 3339 with milliseconds; Go's zero time for never."""
    if not t_ms:
        return _ZERO_TIME
    return datetime.fromtimestamp(t_ms / 1000, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
