"""What lies around an incident's own events: alerts that joined it and ended, and deploys and other marks of its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents import rows
from tocsin.state.schema import markers

_BEFORE_MS = 2 * 3_600_000
"""A change so long before an incident may still be its cause."""
_MOST_ALERTS = 100
_MOST_MARKS = 50
# Attempts have ids just below zero (timeline.py): these are far from them, and what JavaScript still counts exactly.
_ALERT_IDS, _MARK_IDS = 1 << 50, 1 << 51
_UNTELLING = ("alertname", "severity", "service", "__name__")


def alert_entries(tx: Connection, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """When each alert began and ended, as lines of the timeline (api.ts TimelineEntry); the first hundred alerts."""
    found = sorted(rows.alert_rows(tx, numbers), key=lambda row: (row.starts_at_ms, row.fingerprint))[:_MOST_ALERTS]
    entries = []
    for place, row in enumerate(found):
        began = "fires" if place == 0 else "joins: it fires too"
        entries.append(_alert_entry(row, row.starts_at_ms, "joined", began, ended=False))
        if row.ends_at_ms:
            entries.append(_alert_entry(row, row.ends_at_ms, "alert_ended", "ended", ended=True))
    return entries


def _alert_entry(row: Any, t_ms: int, verb: str, words: str, *, ended: bool) -> dict[str, Any]:
    about = ", ".join(f"{name}={value}" for name, value in sorted(row.labels.items()) if name not in _UNTELLING)
    named = f"{row.labels.get('alertname', 'an alert')}{f' ({about})' if about else ''}"
    id_ = -_ALERT_IDS - 2 * int(row.fingerprint[:10], 16) - int(ended)
    return _entry(id_, t_ms, "system:alerts", verb, f"{named[:400]} {words}", {"alert": row.fingerprint})


def changes(tx: Connection, service: str, created_ms: int, resolved_ms: int) -> list[dict[str, Any]]:
    """Deploys and other marks from two hours before an incident to its end (0 = none yet), oldest first (api.ts IncidentChange).

    Those of its service, and those of no service in particular.
    """
    c = markers.c
    query = sa.select(markers).where(c.t_ms >= created_ms - _BEFORE_MS, c.service.in_((service, "")))
    if resolved_ms:
        query = query.where(c.t_ms <= resolved_ms)
    found = list(tx.execute(query.order_by(c.t_ms.desc(), c.id.desc()).limit(_MOST_MARKS)))
    return [{"id": m.id, "t_ms": m.t_ms, "kind": m.kind, "service": m.service, "text": m.text} for m in reversed(found)]


def change_entries(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`changes` as lines of the timeline."""
    return [
        _entry(-_MARK_IDS - one["id"], one["t_ms"], "system:marks", "marked", _said(one), {"kind": one["kind"]}) for one in found
    ]


def _said(change: Mapping[str, Any]) -> str:
    of_it = f" of {change['service']}" if change["service"] else ""
    return f"{change['kind'] or 'change'}{of_it}: {change['text']}" if change["text"] else f"{change['kind'] or 'change'}{of_it}"


def _entry(id_: int, t_ms: int, actor: str, verb: str, text: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": id_, "t_ms": t_ms, "actor": actor, "verb": verb, "text": text, "cause": "", "data": data}
