"""A notification as people read it: title, plain sentences, links; and those as plain text and HTML.

A page at three in the morning is read half awake: what is broken, how bad, since when, why you, and one thing to press.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from tocsin.model.duration import human_duration
from tocsin.model.notification import Message, Notification, NotificationKind

_SEVERITY_SHORT = {"critical": "CRIT", "warning": "WARN", "info": "INFO"}
_MOST_LISTED = 10
_COLOURS = {"critical": "#b3261e", "warning": "#8a5a00", "resolved": "#1b6e3c"}
_TEST_TITLE = "Test message from Tocsin"


def message(note: Notification, *, external_url: str = "", ack_url: str = "", possible_repeat: bool = False) -> Message:
    """Everything a channel needs. `ack_url` is empty for places: an acknowledgement always has a name."""
    payload = note.payload
    incident: Mapping[str, Any] = payload.get("incident", {})
    base = external_url.rstrip("/")
    alerts = payload.get("alerts", ())
    state = _state(note, incident)
    return Message(
        notification=note,
        title=str(incident.get("title", "") or payload.get("title", "") or _TEST_TITLE),
        severity=str(incident.get("severity", "") or ("info" if note.kind is NotificationKind.TEST else "")),
        state=state,
        lines=tuple(_lines(note, incident, state)),
        why=_why(note),
        incident_url=f"{base}/i/{note.incident}" if note.incident and base else "",
        ack_url=ack_url if note.kind in (NotificationKind.PAGE, NotificationKind.UPDATE) and state == "triggered" else "",
        runbook_url=_http_only(str(payload.get("runbook", ""))),
        fields=tuple(_common(alerts, "labels").items()),
        alerts=tuple(alerts),
        group={**payload.get("group", {}), "external_url": base, "left_out": payload.get("alerts_left_out", 0)},
        started_ms=int(incident.get("created_ms", note.created_ms)),
        possible_repeat=possible_repeat,
    )


def subject(message: Message) -> str:
    """Stable through the incident, so that every mail client threads it; the state stands in the first line of the body."""
    number = message.notification.incident
    short = _SEVERITY_SHORT.get(message.severity, message.severity.upper()[:8])
    mark = f"[{short} #{number}] " if number else "[Tocsin] "
    return f"{mark.replace('[ ', '[')}{message.title}"[:200]


def headline(message: Message) -> str:
    """State and severity in words: `CRITICAL - checkout 5xx 7.2 %`, `RESOLVED - ...`."""
    word = message.severity.upper() if message.state == "triggered" else message.state.upper()
    return f"{word} - {message.title}" if word else message.title


def text_body(message: Message) -> str:
    """The whole message as plain text."""
    parts = [headline(message), "", *message.lines, ""]
    if message.ack_url:
        parts.append(f"Acknowledge: {message.ack_url}")
    if message.incident_url:
        parts.append(f"Incident #{message.notification.incident}: {message.incident_url}")
    if message.runbook_url:
        parts.append(f"Runbook: {message.runbook_url}")
    if listed := alert_lines(message):
        parts += ["", *listed]
    parts += ["", message.why]
    if message.possible_repeat:
        parts.append("(may be a repeat: the answer to an earlier copy was lost)")
    return "\n".join(parts).strip() + "\n"


def html_body(message: Message) -> str:
    """The same as HTML, every text escaped."""
    colour = _COLOURS.get(message.state if message.state == "resolved" else message.severity, "#33415c")
    links = [("Acknowledge", message.ack_url), ("Open incident", message.incident_url), ("Runbook", message.runbook_url)]
    buttons = "".join(_button(text, url, colour if i == 0 else "#33415c") for i, (text, url) in enumerate(links) if url)
    lines = "".join(f"<p style='margin:0 0 6px'>{escape(line)}</p>" for line in message.lines)
    alerts = "".join(f"<li>{escape(line)}</li>" for line in alert_lines(message))
    repeat = "<p>(may be a repeat: the answer to an earlier copy was lost)</p>" if message.possible_repeat else ""
    preheader = escape(" ".join((message.state, *message.lines[:1])))
    return (
        "<!doctype html><html><head><meta charset='utf-8'></head>"
        "<body style='font-family:sans-serif;font-size:15px;color:#1a1f2b;max-width:640px'>"
        f"<div style='display:none'>{preheader}</div>"
        f"<h2 style='margin:0 0 10px;color:{colour}'>{escape(headline(message))}</h2>{lines}"
        f"<p style='margin:14px 0'>{buttons}</p>{f'<ul>{alerts}</ul>' if alerts else ''}"
        f"<p style='color:#5b6577;font-size:13px'>{escape(message.why)}</p>{repeat}</body></html>"
    )


def alert_lines(message: Message) -> list[str]:
    """One line per alert with what tells it apart, at most ten; firing ones first."""
    if len(message.alerts) < 2:
        return []
    shared = dict(message.fields)
    lines = []
    for alert in message.alerts[:_MOST_LISTED]:
        own = ", ".join(f"{k}={v}" for k, v in alert["labels"].items() if k not in shared) or "(same labels)"
        value = f", value {alert['value']:g}" if isinstance(alert.get("value"), int | float) else ""
        lines.append(f"{'resolved' if alert.get('ends_at_ms') else 'firing'}: {own}{value}")
    more = len(message.alerts) - _MOST_LISTED + int(message.group.get("left_out", 0))
    return [*lines, f"and {more} more"] if more > 0 else lines


def clock_text(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def common_of(alerts: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    """Entries of `labels` or `annotations` that all alerts share."""
    return _common(alerts, name)


# -- parts --


def _state(note: Notification, incident: Mapping[str, Any]) -> str:
    if note.kind in (NotificationKind.TEST, NotificationKind.DIGEST):
        return note.kind.value
    if note.kind is NotificationKind.RESOLVED:
        return "resolved"
    state = str(incident.get("state", "triggered"))
    return state if state in ("acknowledged", "resolved") else "triggered"


def _lines(note: Notification, incident: Mapping[str, Any], state: str) -> list[str]:
    payload = note.payload
    if note.kind is NotificationKind.TEST:
        return [str(payload.get("text", "") or "If you read this, the channel works. There is nothing to do.")]
    if not incident:
        return [str(line) for line in payload.get("lines") or [payload.get("text", "")]]
    lines: list[str] = []
    if payload.get("text") and note.kind is not NotificationKind.PAGE:
        lines.append(_sentence(str(payload["text"])))
    lines.append(_when(incident, state, int(payload.get("alerts_firing", 0))))
    alerts = payload.get("alerts", ())
    if alerts and state != "resolved":
        lines.extend(_evidence(alerts[0]))
    if late_ms := int(payload.get("late_ms", 0)):
        lines.append(f"This page is {human_duration(late_ms)} late: the monitor was down.")
    if together := payload.get("together"):
        word = "ended as well" if state == "resolved" else "also firing"
        shown = ", ".join(f"#{other['number']} {other['title']}" for other in together[:_MOST_LISTED])
        more = f" and {len(together) - _MOST_LISTED} more" if len(together) > _MOST_LISTED else ""
        lines.append(f"{len(together)} {word}: {shown}{more}.")
    if note.kind is NotificationKind.PAGE and payload.get("next"):
        wait = human_duration(max(int(payload["next_at_ms"]) - note.due_at_ms, 0))
        lines.append(f"Without an acknowledgement the next is {payload['next']} in {wait}.")
    return lines


def _when(incident: Mapping[str, Any], state: str, firing: int) -> str:
    since = int(incident.get("created_ms", 0))
    service = f" of {incident['service']}" if incident.get("service") else ""
    if state == "resolved":
        ended = int(incident.get("resolved_ms", 0))
        by = incident.get("resolved_by", "")
        who = f" by {by}" if by and by not in ("source", "timeout") else ""
        held = f"; {incident['acknowledged_by']} had it" if incident.get("acknowledged_by") else ""
        lasted = human_duration(max(ended - since, 0))
        return f"Resolved{who} after {lasted}: {clock_text(since)} to {clock_text(ended)}{held}."
    severity = str(incident.get("severity", "")).capitalize() or "Alert"
    count = f", {firing} alerts" if firing > 1 else ""
    held = f" {incident['acknowledged_by']!s} has it." if state == "acknowledged" and incident.get("acknowledged_by") else ""
    again = " It fires again." if incident.get("reopen_count") else ""
    return f"{severity}{service}, firing since {clock_text(since)}{count}.{held}{again}"


def _evidence(alert: Mapping[str, Any]) -> list[str]:
    annotations = alert.get("annotations", {})
    text = annotations.get("description") or annotations.get("message") or ""
    lines = [" ".join(str(text).split())[:1000]] if text else []
    if isinstance(alert.get("value"), int | float):
        lines.append(f"Value {alert['value']:g}.")
    return lines


def _why(note: Notification) -> str:
    if note.kind is NotificationKind.TEST:
        return note.reason
    return f"You get this as {note.reason}." if note.reason else ""


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _common(alerts: Sequence[Mapping[str, Any]], name: str) -> dict[str, str]:
    common: dict[str, str] | None = None
    for alert in alerts:
        entries = alert.get(name, {})
        common = dict(entries) if common is None else {k: v for k, v in common.items() if entries.get(k) == v}
    return common or {}


def _http_only(url: str) -> str:
    return url if url.startswith(("http://", "https://")) and not any(c in url for c in "\r\n\"'<> ") else ""


def _button(text: str, url: str, colour: str) -> str:
    style = f"background:{colour};color:#fff;padding:9px 14px;border-radius:5px;text-decoration:none;margin-right:8px"
    return f"<a href='{escape(url, quote=True)}' style='{style}'>{escape(text)}</a>"
