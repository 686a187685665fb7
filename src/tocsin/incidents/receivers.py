"""An incident that several receivers hear of: the group of each, and what it holds. Rows of `incident_receivers`.

    chat's group  {a, b} ──┐
                           ├──▶ #7 {a, b}     led by the group with the policy while that fires; the others listen
    pager's group {a} ─────┘

An incident of one group has no rows here: all of it is that group's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tocsin.incidents import rows
from tocsin.model.alert import Page
from tocsin.model.incident import Incident, Policy
from tocsin.state import bulk
from tocsin.state.prepared import Prepared
from tocsin.state.schema import incident_alerts, incident_receivers, incidents

PLACE = "receiver:"
"""How the settings reference of a receiver's destination begins: `receiver:chat/slack/0`."""
_r, _a, _i = incident_receivers.c, incident_alerts.c, incidents.c
_OF = Prepared(sa.select(incident_receivers).where(_r.incident.in_(sa.bindparam("numbers", expanding=True))))
_COUNT = Prepared(
    sa.select(sa.func.count().label("found"))
    .select_from(incident_receivers)
    .join(incidents, _i.number == _r.incident)
    .where(
        _r.receiver == sa.bindparam("name"),
        _i.receiver != sa.bindparam("name"),
        _i.service == sa.bindparam("of_service"),
        _r.joined_ms > sa.bindparam("since"),
    )
)
_END = Prepared(
    sa.update(incident_alerts)
    .where(_a.incident == sa.bindparam("of"), _a.ends_at_ms == 0, _a.fingerprint.in_(sa.bindparam("prints", expanding=True)))
    .values(ends_at_ms=sa.bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Part:
    """One receiver's group in an incident."""

    incident: int
    key: str
    receiver: str
    group_key: str
    route_id: str
    reason: str
    policy: Policy
    firing: Mapping[str, int]
    """What it held at its last page: fingerprint -> start of the spell."""
    known: frozenset[str]
    """Every alert that it ever held."""
    covered: bool = False
    """All that it holds is suppressed: its places are told nothing until its own next page."""
    joined_ms: int = 0


def of(tx: Connection, numbers: Sequence[int]) -> tuple[Part, ...]:
    """The parts of these incidents, the oldest first."""
    found = [_part(row) for row in _OF.all(tx, numbers=list(numbers))] if numbers else []
    return tuple(sorted(found, key=lambda part: (part.incident, part.joined_ms, part.key)))


def one(tx: Connection, number: int, key: str) -> Part | None:
    return next((part for part in of(tx, [number]) if part.key == key), None)


def put(tx: Connection, *parts: Part) -> None:
    bulk.upsert_rows(tx, incident_receivers, ("incident", "key"), [_row(part) for part in parts])


def first_part(tx: Connection, incident: Incident) -> Part:
    """The group of an incident that had one until now."""
    extra = rows.extra(tx, incident.number)
    alerts = rows.alert_rows(tx, [incident.number])
    return Part(
        incident=incident.number,
        key=incident.key,
        receiver=incident.receiver,
        group_key=str(extra.get("group_key", "")),
        route_id=str(extra.get("route_id", "")),
        reason=str(extra.get("page_reason", "")),
        policy=incident.policy,
        firing={row.fingerprint: row.starts_at_ms for row in alerts if not row.ends_at_ms},
        known=frozenset(row.fingerprint for row in alerts),
        joined_ms=incident.created_ms,
    )


def write_alerts(tx: Connection, incident: Incident, page: Page, part: Part, now_ms: int) -> tuple[int, Part]:
    """The group as `page` has it: how many alerts are new to the incident or fire again in it, and the part as it is now.

    What the group no longer holds has ended, unless another group of the incident holds it.
    """
    at_ms = page.decided_ms or now_ms
    off: Mapping[str, str] = {} if part.key == incident.key else rows.extra(tx, incident.number).get("split_off", {})
    on = [*page.firing, *(alert for alert, _ in page.suppressed)]
    known = rows.alerts_by_print(tx, incident.number)
    fresh = rows.put_alerts(tx, incident.number, [alert for alert in on if alert.fingerprint not in off], known)
    over = [alert for alert in page.resolved if alert.fingerprint not in off]
    rows.put_alerts(tx, incident.number, over, known, ended_ms=at_ms)
    named = {alert.fingerprint for alert in (*on, *page.resolved)}
    held = {fp for other in of(tx, [incident.number]) if other.key != part.key for fp in other.firing}
    if gone := part.firing.keys() - named - held:
        _END.run(tx, of=incident.number, prints=sorted(gone), at=at_ms)
    after = replace(
        part,
        firing={alert.fingerprint: alert.starts_at_ms for alert in on},
        known=part.known | named,
        covered=bool(page.suppressed and not page.firing),
        reason=page.reason.value,
    )
    put(tx, after)
    return fresh, after


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of an incident and of those merged into it, as messages need them. Without any, everything is everybody's."""

    all: tuple[Part, ...] = ()
    leading: str = ""

    @classmethod
    def of(cls, tx: Connection, incident: Incident) -> Parts:
        return cls(of(tx, rows.family(tx, incident.number)), incident.key)

    def behind(self, settings_ref: str) -> Part | None:
        """The part whose place this is; a person's is the leading one."""
        if not settings_ref.startswith(PLACE):
            return next((part for part in self.all if part.key == self.leading), None)
        name = receiver_of(settings_ref)
        return next((part for part in self.all if part.receiver == name), None)

    def seen_by(self, settings_ref: str, alerts: Sequence[Row[Any]]) -> list[Row[Any]]:
        """The alerts that a place may hear of: not those that only other receivers' groups hold. People hear of all."""
        if not self.all or not settings_ref.startswith(PLACE):
            return list(alerts)
        name = receiver_of(settings_ref)
        own = {fp for part in self.all if part.receiver == name for fp in part.known}
        others = {fp for part in self.all if part.receiver != name for fp in part.known}
        return [row for row in alerts if row.fingerprint in own or row.fingerprint not in others]


def count_joined(tx: Connection, *, receiver: str, service: str, since_ms: int) -> int:
    """How many incidents this receiver's groups have joined since then."""
    return int(_COUNT.scalar(tx, name=receiver, of_service=service, since=since_ms))


def receiver_of(settings_ref: str) -> str:
    return settings_ref.removeprefix(PLACE).rsplit("/", 2)[0]


def names(parts: Iterable[Part]) -> list[str]:
    return list(dict.fromkeys(part.receiver for part in parts))


def _part(row: Any) -> Part:
    return Part(
        incident=row.incident,
        key=row.key,
        receiver=row.receiver,
        group_key=row.group_key,
        route_id=row.route_id,
        reason=row.reason,
        policy=rows.policy_of(row.policy),
        firing=row.firing,
        known=frozenset(row.known),
        covered=bool(row.covered),
        joined_ms=row.joined_ms,
    )


def _row(part: Part) -> dict[str, Any]:
    return {
        "incident": part.incident,
        "key": part.key,
        "receiver": part.receiver,
        "group_key": part.group_key,
        "route_id": part.route_id,
        "reason": part.reason,
        "policy": rows.policy_json(part.policy),
        "firing": dict(part.firing),
        "known": sorted(part.known),
        "covered": part.covered,
        "joined_ms": part.joined_ms,
    }
