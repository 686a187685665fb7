"""What a notification carries: the incident and its alerts as they were when it was decided (JSON values)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Row

from tocsin.incidents.people import Directory, Service
from tocsin.incidents.policy import describe_next
from tocsin.incidents.receivers import Part
from tocsin.model.alert import Alert, Page
from tocsin.model.incident import Incident

MOST_ALERTS = 500
"""Alerts beyond these are counted, not carried: one row of the outbox stays below a few hundred KiB."""


def payload(
    incident: Incident,
    alerts: Sequence[Row[Any]],
    directory: Directory,
    service: Service,
    *,
    extra: Mapping[str, Any],
    group: Mapping[str, Any],
    text: str = "",
    step: str = "",
    late_ms: int = 0,
) -> dict[str, Any]:
    """The value that `notify.render` reads. `text` is the news in one clause, `step` the place in the policy."""
    firing = [row for row in alerts if not row.ends_at_ms]
    annotations = _common(row.annotations for row in (firing or alerts))
    return {
        "incident": {
            "number": incident.number,
            "title": _title(incident, extra),
            "severity": incident.severity,
            "urgency": incident.urgency.value,
            "state": incident.state.value,
            "service": incident.service,
            "created_ms": incident.created_ms,
            "acknowledged_by": incident.acknowledged_by,
            "acknowledged_ms": incident.acknowledged_ms,
            "resolved_by": incident.resolved_by,
            "resolved_ms": incident.resolved_ms,
            "reopen_count": incident.reopen_count,
        },
        "alerts": [alert_json(row) for row in alerts[:MOST_ALERTS]],
        "alerts_left_out": max(len(alerts) - MOST_ALERTS, 0),
        "alerts_firing": len(firing),
        "group": dict(group),
        "text": text,
        "step": step,
        "next": describe_next(incident, directory, service) if incident.next_escalation_at_ms else "",
        "next_at_ms": incident.next_escalation_at_ms,
        "runbook": annotations.get("runbook_url", "") or service.runbook,
        "late_ms": late_ms,
        **({"storm": True} if extra.get("storm") else {}),
    }


def group_json(incident: Incident, extra: Mapping[str, Any], part: Part | None = None) -> dict[str, Any]:
    """The group that a message is about: a receiver's own, else the one that leads."""
    return {
        "receiver": part.receiver if part else incident.receiver,
        "group_key": part.group_key if part else extra.get("group_key", ""),
        "group_labels": dict(incident.group_labels),
        "reason": part.reason if part else extra.get("page_reason", ""),
    }


def _title(incident: Incident, extra: Mapping[str, Any]) -> str:
    """With what a reader must know at first sight: that it flaps, and how many others stand behind it."""
    behind = extra.get("affected", 0) if incident.state.open else 0
    more = f" (+{behind} affected)" if behind else ""
    return f"{'flapping: ' if is_flapping(extra) else ''}{incident.title}{more}"


def is_flapping(extra: Mapping[str, Any]) -> bool:
    """As incidents/flapping.py keeps it: by the incident's own comings and goings, or by those of one of its alerts."""
    return bool(extra.get("flaps", {}).get("since_ms") or extra.get("flapping_alert"))


def alert_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "fingerprint": row.fingerprint,
        "labels": row.labels,
        "annotations": row.annotations,
        "starts_at_ms": row.starts_at_ms,
        "ends_at_ms": row.ends_at_ms,
        "generator_url": row.generator_url,
        "value": row.value,
    }


def title(page: Page) -> str:
    """What is wrong, from the worst alert: its `summary`, else its name and where. Stable through the incident."""
    alert = page.firing[0] if page.firing else page.suppressed[0][0] if page.suppressed else page.resolved[0]
    summary = " ".join(alert.annotations.get("summary", "").split())
    if summary:
        return summary[:200]
    return named(alert)[:200]


def named(alert: Alert) -> str:
    name = alert.labels.get("alertname", "") or "alert"
    where = next((alert.labels.get(label) for label in ("service", "check", "instance", "job") if alert.labels.get(label)), "")
    return f"{where}: {name}" if where else name


def worst_severity(alerts: Sequence[Alert], directory: Directory) -> str:
    """The gravest `severity` label; unknown ones count below the known."""
    severities = [alert.labels.get("severity", "") for alert in alerts]
    return max(severities, key=lambda severity: (directory.rank(severity), severity), default="")


def _common(mappings: Any) -> dict[str, str]:
    """Entries that all mappings share."""
    common: dict[str, str] | None = None
    for mapping in mappings:
        common = dict(mapping) if common is None else {k: v for k, v in common.items() if mapping.get(k) == v}
    return common or {}
