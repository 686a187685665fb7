"""How many alerts stand behind an incident: those that nobody is told of because what they depend on is down.

Two ways lead there: a rule's `depends_on` (its alert is unreachable and was never handed on), and `depends_on` of services (the
alert fires and is suppressed). Both are counted with the incident of what they depend on: "+17 affected".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents import rows
from tocsin.incidents.ledger import Ledger
from tocsin.model.alert import Suppression
from tocsin.model.incident import Incident
from tocsin.model.notification import NotificationKind
from tocsin.state.prepared import Prepared
from tocsin.state.schema import alert_states, alerts, incident_alerts, incidents

_a, _s, _i = incident_alerts.c, alert_states.c, incidents.c
_BELOW = Prepared(
    sa.select(_a.incident, sa.func.count().label("n"))
    .select_from(alert_states)
    .join(incident_alerts, sa.and_(_a.fingerprint == _s.below, _a.ends_at_ms == 0))
    .where(_s.below > "")
    .group_by(_a.incident)
)
_HELD = Prepared(
    sa.select(alerts.c.suppressed_by).where(
        alerts.c.ends_at_ms == 0,
        sa.cast(alerts.c.suppressed_by, sa.Text).contains(f'"{Suppression.DEPENDENCY.value}"'),
    )
)
_OPEN = Prepared(sa.select(_i.number, _i.service, _i.extra).where(_i.state.in_(rows.OPEN)))


def counts(tx: Connection, services: Mapping[int, str]) -> dict[int, int]:
    """Incident -> how many alerts stand behind it; those without any are left out. `services` are the open incidents' own."""
    if not services:
        return {}
    found = Counter({row[0]: int(row[1]) for row in _BELOW.all(tx) if row[0] in services})
    if suppressed := _suppressed(tx):
        for number, service in services.items():
            found[number] += suppressed.get(service, 0) if service else 0
    return {number: count for number, count in found.items() if count}


def _suppressed(tx: Connection) -> Counter[str]:
    """Service -> firing alerts that are suppressed because of its trouble."""
    kind = Suppression.DEPENDENCY.value
    return Counter(cause["by"] for row in _HELD.all(tx) for cause in row.suppressed_by if cause["kind"] == kind)


def of(tx: Connection, incident: Incident) -> int:
    return counts(tx, {incident.number: incident.service}).get(incident.number, 0) if incident.state.open else 0


def text(count: int) -> str:
    return f"+{count} affected"


def tell(ledger: Ledger) -> None:
    """Who was paged for an open incident hears once that others stand behind it; later numbers are lines of its timeline."""
    found = {row.number: row for row in _OPEN.all(ledger.tx)}
    for number, count in counts(ledger.tx, {number: row.service for number, row in found.items()}).items():
        known = int(found[number].extra.get("affected", 0))
        if count <= known:
            continue
        rows.keep(ledger.tx, number, affected=count)
        incident = rows.load(ledger.tx, number)
        news = f"{text(count)}: alerts of what depends on it, which nobody else is told of"
        ledger.record(incident, "affected", news, cause="dependency", count=count)
        ledger.touched.add(number)
        if not known:
            ledger.tell(incident, NotificationKind.UPDATE, news)
