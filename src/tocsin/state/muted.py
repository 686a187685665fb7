"""Which open incidents are silent by now: every alert of theirs that counts is suppressed, as the dispatcher has noted."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.state.prepared import Prepared
from tocsin.state.schema import alerts, incident_alerts

_MEMBERS = Prepared(
    sa.select(incident_alerts.c.incident, incident_alerts.c.ends_at_ms, alerts.c.suppressed_by)
    .select_from(sa.outerjoin(incident_alerts, alerts, incident_alerts.c.fingerprint == alerts.c.fingerprint))
    .where(incident_alerts.c.incident.in_(sa.bindparam("numbers", expanding=True)))
)


def muted(tx: Connection, numbers: Sequence[int]) -> dict[int, str]:
    """Of these incidents the wholly suppressed ones, each with what suppresses it. Alerts that are not known count as audible.

    Where nothing fires for the moment (flapping) all of its alerts count, else those that fire.
    """
    if not numbers:
        return {}
    members = _MEMBERS.all(tx, numbers=list(numbers))
    fires = {row.incident for row in members if not row.ends_at_ms}
    causes: dict[int, set[str]] = {}
    audible: set[int] = set()
    for row in members:
        if row.ends_at_ms and row.incident in fires:
            continue
        if not row.suppressed_by:
            audible.add(row.incident)
        else:
            named = {f"{cause['kind']} by {cause['by']}" if cause.get("by") else cause["kind"] for cause in row.suppressed_by}
            causes.setdefault(row.incident, set()).update(named)
    return {number: ", ".join(sorted(by)) for number, by in causes.items() if number not in audible}
