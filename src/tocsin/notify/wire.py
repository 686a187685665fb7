"""Alertmanager's webhook body, version 4."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tocsin.model.notification import Message, NotificationKind
from tocsin.notify.render import common_of

_ZERO_TIME = "0001-01-01T00:00:00Z"


def webhook_body(message: Message, *, max_alerts: int = 0) -> dict[str, Any]:
    """Key for key what Alertmanager 0.34 posts, so that its receivers work unchanged."""
    over = message.notification.kind is NotificationKind.RESOLVED
    alerts = [_alert(alert, over=over) for alert in message.alerts]
    cut = max(len(alerts) - max_alerts, 0) if max_alerts else 0
    group = message.group
    return {
        "receiver": group.get("receiver", "") or message.notification.recipient,
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "alerts": alerts[:max_alerts] if max_alerts else alerts,
        "notification_reason": group.get("reason", ""),
        "groupLabels": group.get("group_labels", {}),
        "commonLabels": common_of(message.alerts, "labels"),
        "commonAnnotations": _said(message) or common_of(message.alerts, "annotations"),
        "routeLabels": group.get("route_labels", {}),
        "externalURL": group.get("external_url", ""),
        "version": "4",
        "groupKey": group.get("group_key", ""),
        "truncatedAlerts": cut + int(group.get("left_out", 0)),
    }


def _said(message: Message) -> dict[str, str]:
    """What a message without alerts has to say (a code to verify an address, a drill, a test); Alertmanager sends none such."""
    if message.alerts or message.notification.kind is not NotificationKind.TEST:
        return {}
    return {"summary": message.title, "description": "\n".join(line for line in message.lines if line)}


def _alert(alert: Mapping[str, Any], *, over: bool) -> dict[str, Any]:
    ended = int(alert.get("ends_at_ms", 0))
    return {
        "status": "resolved" if ended or over else "firing",
        "labels": alert.get("labels", {}),
        "annotations": alert.get("annotations", {}),
        "startsAt": stamp(int(alert.get("starts_at_ms", 0))),
        "endsAt": stamp(ended) if ended else _ZERO_TIME,
        "generatorURL": alert.get("generator_url", ""),
        "fingerprint": alert.get("fingerprint", ""),
    }


def stamp(t_ms: int) -> str:
    """RFC 3339 with milliseconds only where there are any, as Go prints it."""
    text = datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{t_ms % 1000:03d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"
