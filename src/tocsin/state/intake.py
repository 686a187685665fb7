"""The alert intake: rows that rules (or the API) put down in their own transaction and the dispatcher takes up in its."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.state import bulk
from tocsin.state.prepared import Prepared
from tocsin.state.schema import alert_intake

_OLDEST = Prepared(sa.select(alert_intake).order_by(alert_intake.c.seq).limit(sa.bindparam("most")))
_TAKEN = Prepared(sa.delete(alert_intake).where(alert_intake.c.seq <= sa.bindparam("last")))


def put(tx: Connection, alerts: list[Alert], *, now_ms: int, trace_id: str = "") -> None:
    """Hand alerts to the dispatcher; durable with the caller's transaction."""
    if not alerts:
        return
    bulk.insert_rows(
        tx,
        alert_intake,
        [
            {
                "fingerprint": alert.fingerprint,
                "labels": dict(alert.labels.pairs),
                "annotations": dict(alert.annotations),
                "starts_at_ms": alert.starts_at_ms,
                "ends_at_ms": alert.ends_at_ms,
                "timeout": alert.timeout,
                "generator_url": alert.generator_url,
                "source": alert.source,
                "value": alert.value,
                "received_ms": now_ms,
                "trace_id": trace_id,
            }
            for alert in alerts
        ],
    )


def take(tx: Connection, *, limit: int = 2000) -> list[tuple[Alert, str]]:
    """Remove and return the oldest intake rows with their trace ids, in order of arrival."""
    return [(alert, trace_id) for _, alert, trace_id in take_reports(tx, limit=limit)]


def take_reports(tx: Connection, *, limit: int = 2000) -> list[tuple[str, Alert, str]]:
    """The same with the fingerprint first, which costs more to work out than to read."""
    rows = _OLDEST.all(tx, most=limit)
    if rows:
        _TAKEN.run(tx, last=rows[-1].seq)
    return [
        (
            row.fingerprint,
            Alert(
                labels=Labels(row.labels),
                annotations=row.annotations,
                starts_at_ms=row.starts_at_ms,
                ends_at_ms=row.ends_at_ms,
                updated_at_ms=row.received_ms,
                timeout=row.timeout,
                generator_url=row.generator_url,
                source=row.source,
                value=row.value,
            ),
            row.trace_id,
        )
        for row in rows
    ]
