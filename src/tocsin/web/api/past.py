"""The dashboard as it was: rows of a past moment, rebuilt from what is kept: episodes, check changes, timelines.

    episodes ─▶ alerts (alerts.py)      check_changes ─▶ checks      events of incident:N ─▶ state of an incident

What was not kept is left empty rather than guessed: a pending alert, what held an alert back, the figures of a single probe.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents import why as reads
from tocsin.incidents.people import Directory
from tocsin.model.check import CheckState
from tocsin.model.incident import IncidentState
from tocsin.state.schema import check_changes, episodes, events, incident_alerts
from tocsin.web.api.check_lines import check_rows, detail_of
from tocsin.web.api.check_shapes import CheckDetail, CheckRow, Points

_MOST = 1000
# Which state an incident is in after an event of its timeline; other verbs change nothing.
_STATE_AFTER = {
    "opened": IncidentState.TRIGGERED,
    "reopened": IncidentState.TRIGGERED,
    "reopened_by_severity": IncidentState.TRIGGERED,
    "acknowledged": IncidentState.ACKNOWLEDGED,
    "acknowledged_again": IncidentState.ACKNOWLEDGED,
    "unacknowledged": IncidentState.TRIGGERED,
    "acknowledgement_timed_out": IncidentState.TRIGGERED,
    "snoozed": IncidentState.SNOOZED,
    "snooze_over": IncidentState.TRIGGERED,
    "suppressed": IncidentState.SUPPRESSED,
    "unsuppressed": IncidentState.TRIGGERED,
    "resolved": IncidentState.RESOLVED,
    "merged": IncidentState.MERGED,
}


def checks_at(tx: Connection, specs: Sequence[Mapping[str, Any]], at_ms: int) -> list[CheckRow]:
    """Today's checks in the state they had; one that was not there yet is pending."""
    c = check_changes.c
    latest = sa.select(sa.func.max(c.id)).where(c.t_ms <= at_ms).group_by(c.check_id).scalar_subquery()
    then = {row.check_id: row for row in tx.execute(sa.select(check_changes).where(c.id.in_(latest)))}
    following = sa.select(sa.func.min(c.id)).where(c.t_ms > at_ms).group_by(c.check_id).scalar_subquery()
    after = {row.check_id: row for row in tx.execute(sa.select(check_changes).where(c.id.in_(following)))}
    return [_check_then(row, then.get(row.id), after.get(row.id)) for row in check_rows(tx, specs, at_ms)]


def _check_then(row: CheckRow, change: Any, next_change: Any) -> CheckRow:
    unknown = replace(row, duration_ms=None, last_ms=0, next_ms=0, failures=0, incident=0)
    if change is not None:
        return replace(unknown, state=change.after, since_ms=change.t_ms, reason=change.reason, message=change.message)
    before = next_change.before if next_change is not None else row.state if row.since_ms > 0 else ""
    known = before or CheckState.PENDING
    return replace(unknown, state=known, since_ms=0, reason="", message="")


def incidents_at(tx: Connection, directory: Directory, at_ms: int, *, state: str = "open") -> list[dict[str, Any]]:
    """Incidents that existed, in the state they had; `state` as in the list of today."""
    existing = [row for row in reads.incident_rows(tx, directory, state="all", limit=_MOST) if row["created_ms"] <= at_ms]
    stories = _stories(tx, [row["number"] for row in existing], at_ms)
    firing = _firing(tx, at_ms)
    rows = [_incident_then(row, stories.get(row["number"], ()), firing.get(row["number"], 0)) for row in existing]
    rank = {name: index for index, name in enumerate(directory.severities)}
    if state != "all":
        rows = [row for row in rows if IncidentState(row["state"]).open == (state == "open")]
    return sorted(rows, key=lambda row: (-rank.get(row["severity"], -1), row["number"])) if state == "open" else rows


def incident_then(tx: Connection, now: Mapping[str, Any], at_ms: int) -> dict[str, Any] | None:
    """One incident (incident_detail) as it was: its timeline, messages and alerts up to that moment. None = not there yet.

    What was done and found (`remediation`, `verdict`) is kept as it is now only: it is shown where nobody changed it since.
    """
    if now["created_ms"] > at_ms:
        return None
    number = int(now["number"])
    then = _incident_then(now, _stories(tx, [number], at_ms).get(number, ()), 0)
    alerts = [_alert_then(alert, at_ms) for alert in now["alerts"] if alert["starts_at_ms"] <= at_ms]
    later = {entry["verb"] for entry in now["timeline"] if entry["t_ms"] > at_ms}
    steps = [{**step, "executed_ms": step["executed_ms"] if step["executed_ms"] <= at_ms else 0} for step in now["policy_steps"]]
    return {
        **then,
        "alerts": alerts,
        "alerts_firing": sum(alert["state"] == "firing" for alert in alerts),
        "alerts_total": len(alerts),
        "timeline": [entry for entry in now["timeline"] if entry["t_ms"] <= at_ms],
        "changes": [change for change in now["changes"] if change["t_ms"] <= at_ms],
        "notifications": [_message_then(row, at_ms) for row in now["notifications"] if row["created_ms"] <= at_ms],
        "why": [row for row in now["why"] if row["t_ms"] <= at_ms],
        "policy_steps": steps,
        "remediation": {} if "remediated" in later else now["remediation"],
        "verdict": "" if "judged" in later else now["verdict"],
        "merged_into": now["merged_into"] if then["state"] == IncidentState.MERGED else 0,
        "flapping": "",
    }


def _alert_then(alert: Mapping[str, Any], at_ms: int) -> dict[str, Any]:
    over = 0 < alert["ends_at_ms"] <= at_ms
    return {**alert, "state": "resolved" if over else "firing", "ends_at_ms": alert["ends_at_ms"] if over else 0}


def _message_then(row: Mapping[str, Any], at_ms: int) -> dict[str, Any]:
    """A message by the attempts that had begun; one whose end came later was still on its way."""
    if row["done_ms"] and row["done_ms"] <= at_ms:
        return dict(row)
    log = [attempt for attempt in row["attempt_log"] if attempt["started_ms"] <= at_ms]
    state = "sending" if log else "pending"
    return {**row, "state": state, "state_reason": "", "done_ms": 0, "attempts": len(log), "attempt_log": log, "provider_id": ""}


def check_then(tx: Connection, spec: Mapping[str, Any], at_ms: int, latency: Points) -> CheckDetail:
    """One check as it was: state, runs and changes up to that moment. Its settings are those of today."""
    [row] = checks_at(tx, [spec], at_ms)
    seen = detail_of(tx, spec, row, at_ms, latency)
    last = seen.runs[0] if seen.runs else None
    return replace(seen, last_result=last.result if last else None, last_ms=last.started_ms if last else 0)


def _firing(tx: Connection, at_ms: int) -> dict[int, int]:
    """How many alerts of each incident fired at that moment."""
    counted = (
        sa.select(incident_alerts.c.incident, sa.func.count(sa.distinct(episodes.c.fingerprint)))
        .join(episodes, episodes.c.fingerprint == incident_alerts.c.fingerprint)
        .where(episodes.c.starts_at_ms <= at_ms, sa.or_(episodes.c.ends_at_ms == 0, episodes.c.ends_at_ms > at_ms))
        .group_by(incident_alerts.c.incident)
    )
    return {row[0]: int(row[1]) for row in tx.execute(counted)}


def _stories(tx: Connection, numbers: Sequence[int], at_ms: int) -> dict[int, list[Any]]:
    """Events of each incident up to the moment, oldest first."""
    subjects = {f"incident:{number}": number for number in numbers}
    query = (
        sa.select(events.c.subject, events.c.t_ms, events.c.verb, events.c.actor)
        .where(events.c.subject.in_(subjects), events.c.t_ms <= at_ms, events.c.verb.in_(_STATE_AFTER))
        .order_by(events.c.id)
    )
    found: dict[int, list[Any]] = defaultdict(list)
    for event in tx.execute(query):
        found[subjects[event.subject]].append(event)
    return found


def _incident_then(row: Mapping[str, Any], story: Sequence[Any], firing: int) -> dict[str, Any]:
    then = {
        **row,
        "state": IncidentState.TRIGGERED.value,
        "acknowledged_ms": 0,
        "acknowledged_by": "",
        "resolved_ms": 0,
        "resolved_by": "",
        "snoozed_until_ms": 0,
        "next_escalation_at_ms": 0,
        "next_escalation_to": "",
        "alerts_firing": firing,
    }
    for event in story:
        state = _STATE_AFTER[event.verb]
        who = event.actor.partition(":")[2]
        if state is IncidentState.ACKNOWLEDGED and not then["acknowledged_ms"]:
            then |= {"acknowledged_ms": event.t_ms, "acknowledged_by": who}
        elif state is IncidentState.RESOLVED:
            then |= {"resolved_ms": event.t_ms, "resolved_by": who}
        elif state is IncidentState.TRIGGERED:
            then |= {"acknowledged_ms": 0, "acknowledged_by": "", "resolved_ms": 0, "resolved_by": ""}
        then["state"] = state.value
    return then
