"""Whoever is on call hears of a silence that covers everything: it is an alert of its own, and ends with the silence.

It goes the way of every alert (routes, incidents, notifications), and cannot be silenced itself.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from tocsin.alerts import rows
from tocsin.formats.matchers import format_matchers
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.route import Silence
from tocsin.state import intake

ALERTNAME = "SilenceCoversEverything"


def give(tx: Connection, silence: Silence, *, by: str, warning: str, now_ms: int) -> None:
    """Fire the notice from the silence's beginning to its end."""
    annotations = {
        "summary": f"{by} silenced everything: {silence.comment}"[:200],
        "description": f"{warning}. End it under Silences if it is not meant.",
        "silenceable": "false",
    }
    starts_ms = max(silence.starts_at_ms, now_ms)
    alert = Alert(_labels(silence), annotations, starts_ms, silence.ends_at_ms, source=f"silence:{silence.id}")
    intake.put(tx, [alert], now_ms=now_ms)


def withdraw(tx: Connection, silence: Silence, *, now_ms: int) -> None:
    """End the notice of a silence, if there is one."""
    labels = _labels(silence)
    fingerprint = labels.fingerprint_hex()
    known = rows.read_alerts(tx, [fingerprint]).get(fingerprint)
    if known is not None and known.alert.firing(now_ms):
        over = Alert(labels, known.alert.annotations, known.alert.starts_at_ms, now_ms, source=known.alert.source)
        intake.put(tx, [over], now_ms=now_ms)


def _labels(silence: Silence) -> Labels:
    named = {"alertname": ALERTNAME, "severity": "warning", "silence": silence.id, "matchers": format_matchers(silence.matchers)}
    return Labels(named)
