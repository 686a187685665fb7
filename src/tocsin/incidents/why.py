"""Incidents as the dashboard, the API and the command line show them; above all, why each person was told or was not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tocsin.incidents import affected, around, flapping, receivers, rows
from tocsin.incidents.people import Directory, Service
from tocsin.incidents.policy import describe_next, step_targets, tells_places_only
from tocsin.incidents.timeline import incident_events, timeline
from tocsin.model.incident import Incident
from tocsin.state.schema import attempts, incident_alerts, incidents, notifications

_STATES = {"open": rows.OPEN, "resolved": ("resolved", "merged"), "all": ()}
_RANK = {"triggered": 0, "acknowledged": 1, "snoozed": 2, "suppressed": 3, "resolved": 4, "merged": 5}
_LANDED = ("accepted", "delivered", "read")

# -- lists --


def incident_rows(
    tx: Connection,
    directory: Directory,
    *,
    state: str = "open",
    severity: str = "",
    text: str = "",
    limit: int = 500,
    before: int = 0,
) -> list[dict[str, Any]]:
    """Incidents as api.ts IncidentRow; open ones worst first, others newest first. `before` = only those with lower numbers.

    What is nobody's work (severity `none`, told to places only) is not among them.
    """
    query = sa.select(incidents).where(incidents.c.listed).order_by(incidents.c.number.desc()).limit(limit)
    if wanted := _STATES.get(state, (state,)):
        query = query.where(incidents.c.state.in_(wanted))
    if before:
        query = query.where(incidents.c.number < before)
    if severity:
        query = query.where(incidents.c.severity == severity)
    if text:
        query = query.where(incidents.c.title.icontains(text, autoescape=True))
    found = list(tx.execute(query))
    if state == "open":
        found.sort(key=lambda row: (-directory.rank(row.severity), _RANK[row.state], row.number))
    counts = _alert_counts(tx, [row.number for row in found])
    behind = affected.counts(tx, {row.number: row.service for row in found if row.state in rows.OPEN})
    return [_row(row, directory, counts.get(row.number, (0, 0)), behind.get(row.number, 0)) for row in found]


def incident_row(tx: Connection, number: int, directory: Directory) -> dict[str, Any] | None:
    """One incident as api.ts IncidentRow; None when there is none."""
    row = tx.execute(sa.select(incidents).where(incidents.c.number == number)).first()
    if row is None:
        return None
    return _row(row, directory, _alert_counts(tx, [number]).get(number, (0, 0)), affected.of(tx, rows.of_row(row)))


def _row(row: Row[Any], directory: Directory, counts: tuple[int, int], behind: int) -> dict[str, Any]:
    incident = rows.of_row(row)
    return {
        "number": incident.number,
        "title": incident.title,
        "severity": incident.severity,
        "urgency": incident.urgency.value,
        "state": incident.state.value,
        "service": incident.service,
        "created_ms": incident.created_ms,
        "acknowledged_ms": incident.acknowledged_ms,
        "acknowledged_by": incident.acknowledged_by,
        "resolved_ms": incident.resolved_ms,
        "resolved_by": incident.resolved_by,
        "snoozed_until_ms": incident.snoozed_until_ms,
        "next_escalation_at_ms": incident.next_escalation_at_ms,
        "next_escalation_to": _next_to(incident, directory),
        "alerts_firing": counts[0],
        "alerts_total": counts[1],
        "receiver": incident.receiver,
        "policy": incident.policy.name,
        "version": incident.version,
        "assignee": row.extra.get("assignee", ""),
        "affected": behind,
        "flapping": flapping.shown(row.extra) if incident.state.open else "",
    }


def _next_to(incident: Incident, directory: Directory) -> str:
    if not incident.next_escalation_at_ms:
        return ""
    service = directory.services.get(incident.service) or Service(incident.service)
    return describe_next(incident, directory, service)


def _alert_counts(tx: Connection, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
    c = incident_alerts.c
    firing = sa.func.sum(sa.case((c.ends_at_ms == 0, 1), else_=0))
    query = sa.select(c.incident, firing, sa.func.count()).where(c.incident.in_(numbers)).group_by(c.incident)
    return {row[0]: (int(row[1]), int(row[2])) for row in tx.execute(query)}


# -- one incident --


def incident_detail(tx: Connection, number: int, directory: Directory) -> dict[str, Any] | None:
    """One incident as api.ts IncidentDetail; None when there is none."""
    row = tx.execute(sa.select(incidents).where(incidents.c.number == number)).first()
    if row is None:
        return None
    incident = rows.of_row(row)
    numbers = rows.family(tx, number)
    alerts = rows.alert_rows(tx, numbers)
    service = directory.services.get(incident.service) or Service(incident.service)
    changes = around.changes(tx, incident.service, incident.created_ms, incident.resolved_ms)
    return {
        **_row(row, directory, (sum(not alert.ends_at_ms for alert in alerts), len(alerts)), affected.of(tx, incident)),
        "group_labels": dict(incident.group_labels),
        "alerts": [_alert(alert, number) for alert in alerts],
        "timeline": timeline(tx, number, changes=changes),
        "changes": changes,
        "notifications": notification_rows(tx, numbers=numbers),
        "why": why(tx, number),
        "remediation": row.remediation,
        "verdict": row.verdict,
        "similar": _similar(tx, incident),
        "runbook": _runbook(alerts) or service.runbook,
        "graph": None,
        "policy_steps": _policy_steps(tx, incident),
        "merged_into": row.extra.get("merged_into", 0),
        "previous": row.extra.get("previous", 0),
        "split_from": row.extra.get("split_from", 0),
        "linked": row.extra.get("linked", []),
        "receivers": _receivers(tx, incident, numbers),
    }


def _alert(row: Row[Any], incident: int) -> dict[str, Any]:
    """api.ts AlertRow, as far as the incident knows it."""
    return {
        "fingerprint": row.fingerprint,
        "name": row.labels.get("alertname", ""),
        "severity": row.severity,
        "state": "resolved" if row.ends_at_ms else "firing",
        "labels": row.labels,
        "annotations": row.annotations,
        "value": row.value,
        "starts_at_ms": row.starts_at_ms,
        "ends_at_ms": row.ends_at_ms,
        "fires_in_ms": 0,
        "suppressed_by": [],
        "explanation": "",
        "incident": incident,
        "flapping": "",
        "rule": {"group": "", "name": row.labels.get("alertname", ""), "expr": "", "for_ms": 0, "source": ""},
        "source": row.generator_url,
        "strip": "",
    }


def _receivers(tx: Connection, incident: Incident, numbers: Sequence[int]) -> list[str]:
    """Whose groups it is about, in the order in which they came."""
    parts = sorted(receivers.of(tx, numbers), key=lambda part: (part.joined_ms, part.key != incident.key))
    return receivers.names(parts) or [incident.receiver]


def _runbook(alerts: Sequence[Row[Any]]) -> str:
    return next((str(alert.annotations["runbook_url"]) for alert in alerts if alert.annotations.get("runbook_url")), "")


def _similar(tx: Connection, incident: Incident) -> list[dict[str, Any]]:
    """Earlier incidents of the same group: the fourth time, and what helped the last time."""
    c = incidents.c
    query = sa.select(incidents).where(c.key == incident.key, c.number < incident.number).order_by(c.number.desc()).limit(10)
    return [
        {
            "number": row.number,
            "title": row.title,
            "created_ms": row.created_ms,
            "resolved_ms": row.resolved_ms,
            "remediation": str(row.remediation.get("summary", "")),
            "action": str(row.remediation.get("action", "")),
            "cause": str(row.remediation.get("cause", "")),
            "held": row.remediation.get("held"),
            "verdict": row.verdict,
        }
        for row in tx.execute(query)
    ]


def _policy_steps(tx: Connection, incident: Incident) -> list[dict[str, Any]]:
    executed: dict[int, int] = {}
    for event in incident_events(tx, [incident.number]):
        if event.verb == "escalated":
            executed[int(event.data.get("index", -1))] = event.t_ms
    return [
        {
            "index": index,
            "targets": step_targets(step),
            "delay_ms": 0 if tells_places_only(incident.policy) else step.delay_ms,
            "executed_ms": executed.get(index, 0),
        }
        for index, step in enumerate(incident.policy.steps)
    ]


# -- why --


def why(tx: Connection, number: int) -> list[dict[str, Any]]:
    """For everybody considered: told or not, by what, and the reason (api.ts WhyRow). Newest state of each message."""
    numbers = rows.family(tx, number)
    answers: list[dict[str, Any]] = []
    c = notifications.c
    for note in tx.execute(sa.select(notifications).where(c.incident.in_(numbers)).order_by(c.id)):
        answers.append(
            {
                "who": note.recipient,
                "told": note.state in _LANDED,
                "text": _told_text(note),
                "t_ms": note.done_ms or note.sent_ms or note.due_at_ms,
                "channel": note.channel,
                "state": note.state,
            }
        )
    told = {answer["who"] for answer in answers}
    for event in incident_events(tx, numbers):
        who = str(event.data.get("who", ""))
        if event.verb == "not_notified" and who not in told:
            answers.append(
                {"who": who, "told": False, "text": event.text, "t_ms": event.t_ms, "channel": "", "state": "not_told"}
            )
    return answers


def _told_text(note: Row[Any]) -> str:
    kind = {"page": "paged", "resolved": "told of the end", "acknowledged": "told who has it"}.get(note.kind, note.kind)
    reason = f"{kind} as {note.reason}" if note.reason else kind
    if note.state in _LANDED:
        repeat = ", possibly twice" if note.possible_repeat else ""
        return f"{reason}: {note.state}{repeat}"
    because = f" ({note.state_reason})" if note.state_reason else ""
    return f"{reason}: {note.state}{because}"


# -- notifications --


def notification_rows(
    tx: Connection,
    *,
    numbers: Sequence[int] = (),
    channel: str = "",
    state: str = "",
    recipient: str = "",
    limit: int = 500,
) -> list[dict[str, Any]]:
    """The log of notifications as api.ts NotificationRow, newest first, each with its attempts."""
    c = notifications.c
    query = sa.select(notifications).order_by(c.id.desc()).limit(limit)
    if numbers:
        query = query.where(c.incident.in_(numbers))
    for column, wanted in ((c.channel, channel), (c.state, state), (c.recipient, recipient)):
        if wanted:
            query = query.where(column == wanted)
    found = list(tx.execute(query))
    log = _attempt_log(tx, [row.id for row in found])
    return [_notification(row, log.get(row.id, [])) for row in found]


def notification_row(tx: Connection, id_: str) -> dict[str, Any] | None:
    row = tx.execute(sa.select(notifications).where(notifications.c.id == id_)).first()
    return _notification(row, _attempt_log(tx, [id_]).get(id_, [])) if row else None


def _notification(row: Row[Any], attempt_log: list[dict[str, Any]]) -> dict[str, Any]:
    names = (
        "id", "incident", "kind", "channel", "address", "recipient", "reason", "state", "state_reason", "due_at_ms",
        "created_ms", "sent_ms", "done_ms", "attempts", "provider_id", "possible_repeat",
    )  # fmt: skip
    return {**{name: getattr(row, name) for name in names}, "attempt_log": attempt_log}


def _attempt_log(tx: Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    log: dict[str, list[dict[str, Any]]] = {}
    query = sa.select(attempts).where(attempts.c.notification.in_(ids)).order_by(attempts.c.id)
    for row in tx.execute(query):
        log.setdefault(row.notification, []).append(
            {
                "n": row.n,
                "started_ms": row.started_ms,
                "ended_ms": row.ended_ms,
                "outcome": row.outcome,
                "status": row.status,
                "reason": row.reason,
            }
        )
    return log
