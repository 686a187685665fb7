"""Which open incidents are silent by now: every alert of theirs that still fires is suppressed, as the dispatcher has noted."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.state.prepared import Prepared
from tocsin.state.schema import alerts, incident_alerts

_FIRING = Prepared(
    sa.select(incident_alerts.c.incident, alerts.c.suppressed_by)
    .select_from(sa.outerjoin(incident_alerts, alerts, incident_alerts.c.fingerprint == alerts.c.fingerprint))
    .where(incident_alerts.c.incident.in_(sa.bindparam("numbers", expanding=True)), incident_alerts.c.ends_at_ms == 0)
)


def muted(tx: Connection, numbers: Sequence[int]) -> dict[int, str]:
    """Of these incidents the wholly suppressed ones, each with what suppresses it. Alerts that are not known count as audible."""
    if not numbers:
        return {}
    causes: dict[int, set[str]] = {}
    audible: set[int] = set()
    for row in _FIRING.all(tx, numbers=list(numbers)):
        if not row.suppressed_by:
            audible.add(row.incident)
        else:
            named = {f"{cause['kind']} by {cause['by']}" if cause.get("by") else cause["kind"] for cause in row.suppressed_by}
            causes.setdefault(row.incident, set()).update(named)
    return {number: ", ".join(sorted(by)) for number, by in causes.items() if number not in audible}
