"""Incidents as rows: reading, writing with a version check, the policy snapshot, and the alerts that belong to each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tocsin.errors import CommandError
from tocsin.model.alert import NO_SEVERITY, Alert
from tocsin.model.incident import Incident, IncidentState, Policy, PolicyStep, Target, TargetKind, Urgency
from tocsin.model.labels import Labels
from tocsin.state import bulk
from tocsin.state.prepared import Prepared
from tocsin.state.schema import episodes, incident_alerts, incident_receivers, incidents, timers

FLAP_QUIET = "flap_quiet"
"""The timer of a flapping incident: how long its state must hold to be believed."""
OPEN = tuple(state.value for state in IncidentState if state.open)

_i, _a = incidents.c, incident_alerts.c
_STATE_COLUMNS = (
    "key", "generation", "title", "severity", "urgency", "state", "receiver", "service", "policy", "group_labels", "created_ms",
    "acknowledged_ms", "acknowledged_by", "resolved_ms", "resolved_by", "snoozed_until_ms", "step", "loop",
    "next_escalation_at_ms", "reopen_count", "updated_ms", "version", "trace_id", "listed",
)  # fmt: skip
_ALERT_COLUMNS = ("labels", "annotations", "starts_at_ms", "ends_at_ms", "value", "severity", "generator_url")


def _named(table: sa.Table, columns: Iterable[str]) -> dict[str, sa.BindParameter[Any]]:
    return {name: sa.bindparam(name, type_=table.c[name].type) for name in columns}


_BY_NUMBER = Prepared(sa.select(incidents).where(_i.number == sa.bindparam("of")))
_LATEST = Prepared(sa.select(incidents).where(_i.key == sa.bindparam("under")).order_by(_i.number.desc()).limit(1))
_JOINED = Prepared(sa.select(sa.func.max(incident_receivers.c.incident)).where(incident_receivers.c.key == sa.bindparam("under")))
_SAVE = Prepared(
    sa.update(incidents)
    .where(_i.number == sa.bindparam("of"), _i.version == sa.bindparam("read_at"))
    .values(_named(incidents, _STATE_COLUMNS))
)
_ADD = Prepared(
    sa.insert(incidents).values(_named(incidents, (*_STATE_COLUMNS, "remediation", "extra", "merged_into"))).returning(_i.number)
)
_EXTRAS = Prepared(sa.select(_i.extra).where(_i.number.in_(sa.bindparam("numbers", expanding=True))))
_CHILDREN = Prepared(sa.select(_i.number).where(_i.merged_into.in_(sa.bindparam("into", expanding=True))).order_by(_i.number))
_FIRST_CHILD = Prepared(sa.select(_i.number).where(_i.merged_into == sa.bindparam("into")).limit(1))
_ADOPT = Prepared(sa.update(incidents).where(_i.number == sa.bindparam("of")).values(merged_into=sa.bindparam("into")))
_KEEP = Prepared(sa.update(incidents).where(_i.number == sa.bindparam("of")).values(_named(incidents, ["extra"])))
_CHANGE_ALERT = (
    sa.update(incident_alerts)
    .where(_a.incident == sa.bindparam("of"), _a.fingerprint == sa.bindparam("print"))
    .values(_named(incident_alerts, _ALERT_COLUMNS))
)
_SPELL_OF = (
    # The sum keeps the database from looking for all that began in this millisecond: in a storm that is everything.
    sa.update(episodes)
    .where(episodes.c.fingerprint == sa.bindparam("print"), episodes.c.starts_at_ms + 0 == sa.bindparam("began"))
    .values(incident=sa.bindparam("of"))
)
"""The firing that an incident is about: shown in the alert's history."""
_END_OTHERS = Prepared(
    sa.update(incident_alerts)
    .where(
        _a.incident == sa.bindparam("of"),
        _a.ends_at_ms == 0,
        _a.fingerprint.not_in(sa.bindparam("still", expanding=True)),
    )
    .values(ends_at_ms=sa.bindparam("at"))
)
_ALERTS = Prepared(
    sa.select(incident_alerts)
    .where(_a.incident.in_(sa.bindparam("numbers", expanding=True)))
    .order_by(_a.ends_at_ms != 0, _a.starts_at_ms, _a.fingerprint)
)
_STOP_TIMERS = Prepared(sa.delete(timers).where(timers.c.subject == sa.bindparam("of"), timers.c.kind != FLAP_QUIET))

# -- incidents --


def load(tx: Connection, number: int) -> Incident:
    """Raises CommandError 404."""
    row = _BY_NUMBER.first(tx, of=number)
    if row is None:
        raise CommandError(404, "not_found", f"there is no incident #{number}")
    return of_row(row)


def latest(tx: Connection, key: str) -> Incident | None:
    """The newest incident under a dedup key: opened by that group, or one that it joined."""
    row = _LATEST.first(tx, under=key)
    joined = int(_JOINED.scalar(tx, under=key) or 0)
    if joined and (row is None or row.number < joined):
        return load(tx, joined)
    return of_row(row) if row else None


def insert(tx: Connection, incident: Incident, *, extra: Mapping[str, Any], merged_into: int = 0) -> Incident:
    """Store a new incident; returns it with its number. `merged_into`: it is merged from its beginning."""
    more = {"merged_into": merged_into} if merged_into else {}
    number = _ADD.scalar(tx, **_values(incident), remediation={}, extra={**extra, **more}, merged_into=merged_into)
    return replace(incident, number=int(number))


def adopt(tx: Connection, child: int, *, into: int) -> None:
    """A merged incident belongs to another from now on."""
    keep(tx, child, merged_into=into)
    _ADOPT.run(tx, of=child, into=into)


def has_children(tx: Connection, number: int) -> bool:
    return _FIRST_CHILD.first(tx, into=number) is not None


def save(tx: Connection, incident: Incident) -> Incident:
    """Write a changed incident over the version it was read at; returns it with the next version."""
    following = replace(incident, version=incident.version + 1)
    written = _SAVE.run(tx, of=incident.number, read_at=incident.version, **_values(following))
    if written != 1:
        raise CommandError(409, "version_conflict", f"incident #{incident.number} was changed by somebody else; look again")
    return following


def of_row(row: Row[Any]) -> Incident:
    return Incident(
        number=row.number,
        key=row.key,
        generation=row.generation,
        title=row.title,
        severity=row.severity,
        urgency=Urgency(row.urgency),
        state=IncidentState(row.state),
        receiver=row.receiver,
        policy=policy_of(row.policy),
        group_labels=Labels(row.group_labels),
        service=row.service,
        created_ms=row.created_ms,
        acknowledged_ms=row.acknowledged_ms,
        acknowledged_by=row.acknowledged_by,
        resolved_ms=row.resolved_ms,
        resolved_by=row.resolved_by,
        snoozed_until_ms=row.snoozed_until_ms,
        step=row.step,
        loop=row.loop,
        next_escalation_at_ms=row.next_escalation_at_ms,
        reopen_count=row.reopen_count,
        updated_ms=row.updated_ms,
        version=row.version,
        trace_id=row.trace_id,
    )


def _values(incident: Incident) -> dict[str, Any]:
    return {
        "key": incident.key,
        "generation": incident.generation,
        "title": incident.title,
        "severity": incident.severity,
        "urgency": incident.urgency.value,
        "state": incident.state.value,
        "receiver": incident.receiver,
        "service": incident.service,
        "policy": policy_json(incident.policy),
        "group_labels": dict(incident.group_labels),
        "created_ms": incident.created_ms,
        "acknowledged_ms": incident.acknowledged_ms,
        "acknowledged_by": incident.acknowledged_by,
        "resolved_ms": incident.resolved_ms,
        "resolved_by": incident.resolved_by,
        "snoozed_until_ms": incident.snoozed_until_ms,
        "step": incident.step,
        "loop": incident.loop,
        "next_escalation_at_ms": incident.next_escalation_at_ms,
        "reopen_count": incident.reopen_count,
        "updated_ms": incident.updated_ms,
        "version": incident.version,
        "trace_id": incident.trace_id,
        "listed": is_listed(incident),
    }


def is_listed(incident: Incident) -> bool:
    """Whether it is somebody's work. What fires on purpose all the time and is told to places only is not."""
    targets = [target for step in incident.policy.steps for target in step.targets]
    places_only = bool(targets) and not incident.policy.final and all(t.kind is TargetKind.DESTINATION for t in targets)
    return incident.severity != NO_SEVERITY or not places_only


def extra(tx: Connection, number: int) -> dict[str, Any]:
    """What belongs to an incident but not to its state machine: assignee, merged_into, acked_away, previous, ..."""
    return dict(_EXTRAS.scalar(tx, numbers=[number]) or {})


def keep(tx: Connection, number: int, **changes: Any) -> None:
    """Change entries of `extra`; None removes one."""
    merged = {name: value for name, value in {**extra(tx, number), **changes}.items() if value is not None}
    _KEEP.run(tx, of=number, extra=merged)


def leader(tx: Connection, incident: Incident) -> Incident:
    """The incident that lives on when this one was merged."""
    while incident.state is IncidentState.MERGED:
        incident = load(tx, int(extra(tx, incident.number)["merged_into"]))
    return incident


def family(tx: Connection, number: int) -> list[int]:
    """The incident and those merged into it, all the way down; one query a level."""
    found = [number]
    level = [number]
    while level:
        level = [row.number for row in _CHILDREN.all(tx, into=level)]
        found += level
    return found


# -- the policy snapshot --


def policy_json(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "steps": [
            {"targets": _targets_json(s.targets), "delay_ms": s.delay_ms, "min_severity": s.min_severity} for s in policy.steps
        ],
        "repeat": policy.repeat,
        "final": _targets_json(policy.final),
    }


def policy_of(value: Mapping[str, Any]) -> Policy:
    steps = tuple(PolicyStep(_targets_of(s["targets"]), s["delay_ms"], s.get("min_severity", "")) for s in value["steps"])
    return Policy(value["name"], steps, value["repeat"], _targets_of(value["final"]))


def _targets_json(targets: Iterable[Target]) -> list[dict[str, Any]]:
    return [{"kind": target.kind.value, "name": target.name, "members": list(target.members)} for target in targets]


def _targets_of(values: Sequence[Mapping[str, Any]]) -> tuple[Target, ...]:
    return tuple(Target(TargetKind(v["kind"]), v["name"], tuple(v.get("members", ()))) for v in values)


# -- alerts of an incident --


def alerts_by_print(tx: Connection, number: int) -> dict[str, Row[Any]]:
    return {row.fingerprint: row for row in alert_rows(tx, [number])}


def put_alerts(tx: Connection, number: int, alerts: Iterable[Alert], known: Mapping[str, Row[Any]], *, ended_ms: int = 0) -> int:
    """Insert or refresh alerts; `ended_ms` marks those without an end of their own as ended. Returns how many are new spells.

    `known`: the incident's alerts as they are stored, by fingerprint.
    """
    fresh = 0
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    spells: list[dict[str, Any]] = []
    for alert in alerts:
        ends_at_ms = (alert.ends_at_ms or ended_ms) if ended_ms else 0
        fingerprint = alert.fingerprint
        values = {
            "labels": dict(alert.labels.pairs),
            "annotations": dict(alert.annotations),
            "starts_at_ms": alert.starts_at_ms,
            "ends_at_ms": ends_at_ms,
            "value": alert.value,
            "severity": alert.labels.get("severity", ""),
            "generator_url": alert.generator_url,
        }
        row = known.get(fingerprint)
        if row is None:
            new.append({"incident": number, "fingerprint": fingerprint, **values})
        else:
            changed.append({"of": number, "print": fingerprint, **values})
        if row is None or (row.ends_at_ms and not ended_ms):
            spells.append({"of": number, "print": fingerprint, "began": alert.starts_at_ms})
        if not ended_ms and (row is None or row.ends_at_ms):
            fresh += 1
    bulk.insert_rows(tx, incident_alerts, new)
    bulk.execute(tx, _CHANGE_ALERT, changed, json=frozenset({"labels", "annotations"}))
    bulk.execute(tx, _SPELL_OF, spells)
    return fresh


def end_others(tx: Connection, number: int, still: Iterable[str], *, ended_ms: int) -> None:
    """Alerts that the group no longer holds have ended."""
    _END_OTHERS.run(tx, of=number, still=list(still) or [""], at=ended_ms)


def alert_rows(tx: Connection, numbers: Sequence[int]) -> list[Row[Any]]:
    """Firing first, then by start."""
    return _ALERTS.all(tx, numbers=list(numbers)) if numbers else []


# -- timers --


def start_timer(tx: Connection, number: int, kind: str, due_at_ms: int) -> None:
    tx.execute(sa.insert(timers).values(due_at_ms=due_at_ms, kind=kind, subject=f"incident:{number}", version=0, data={}))


def stop_timers(tx: Connection, number: int) -> None:
    """All but the flapping's: what people do says nothing about whether it has settled."""
    _STOP_TIMERS.run(tx, of=f"incident:{number}")


def stop_timer(tx: Connection, number: int, kind: str) -> None:
    tx.execute(sa.delete(timers).where(timers.c.subject == f"incident:{number}", timers.c.kind == kind))
