"""What the world asks Tocsin's own tables."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.state.prepared import Prepared
from tocsin.state.schema import alert_states, alerts, incident_alerts, incidents, notifications

_OPEN = Prepared(
    sa.select(incidents.c.number).where(incidents.c.state.in_(("triggered", "acknowledged"))).order_by(incidents.c.number)
)


def open_incidents(tx: Connection) -> list[int]:
    """Numbers of those that somebody may be paged for."""
    return [row.number for row in _OPEN.all(tx)]


def quiet(tx: Connection) -> set[str]:
    """Alerts that are suppressed now."""
    rows = tx.execute(sa.select(alerts.c.fingerprint, alerts.c.suppressed_by)).all()
    return {row.fingerprint for row in rows if row.suppressed_by}


def flapping(tx: Connection) -> set[str]:
    """Alerts that flap, and all of the incidents that do."""
    own = tx.execute(sa.select(alert_states.c.fingerprint).where(alert_states.c.flapping_since_ms > 0)).scalars()
    open_ = tx.execute(sa.select(incidents.c.number, incidents.c.extra)).all()
    numbers = [row.number for row in open_ if (row.extra.get("flaps") or {}).get("since_ms") or row.extra.get("flapping_alert")]
    of_incidents = tx.execute(sa.select(incident_alerts.c.fingerprint).where(incident_alerts.c.incident.in_(numbers))).scalars()
    return {*own, *of_incidents}


def settled(tx: Connection) -> bool:
    """Nothing is open and nothing waits."""
    is_open = sa.select(incidents.c.number).where(incidents.c.state.not_in(("resolved", "merged")))
    waits = sa.select(notifications.c.id).where(notifications.c.state.in_(("pending", "sending", "held")))
    fires = sa.select(alert_states.c.rule_id).where(alert_states.c.phase != "inactive")
    return not any(tx.execute(query.limit(1)).first() for query in (is_open, waits, fires))
