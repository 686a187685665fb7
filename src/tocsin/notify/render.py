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
from tocsin.notify.silencelink import silence_url

_SEVERITY_SHORT = {"critical": "CRIT", "warning": "WARN", "info": "INFO"}
_MOST_LISTED = 10
_MOST_STEPS = 10
_COLOURS = {"critical": "#b3261e", "warning": "#8a5a00", "resolved": "#1b6e3c", "acknowledged": "#3730a3"}
_NEUTRAL = "#33415c"
_FONT = "font-family:-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"
# Mail clients that know no style sheet show the inline styles, which are the light ones.
_STYLE = (
    "@media (prefers-color-scheme: dark){.b{background:#11161c!important}.c{background:#1b222b!important;"
    "border-right-color:#33415c!important;border-bottom-color:#33415c!important;border-left-color:#33415c!important;"
    "color:#e6eaf0!important}.t,.t li{color:#e6eaf0!important}.q{color:#a6b0bf!important}"
    ".o{color:#c9d3e0!important;border-color:#5b6577!important}.w{color:#f2a9a3!important}}"
)
_TEST_TITLE = "Test message from Tocsin"


def message(
    note: Notification,
    *,
    external_url: str = "",
    ack_url: str = "",
    chart_url: str = "",
    possible_repeat: bool = False,
    visitor: Mapping[str, str] | None = None,
) -> Message:
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
        answer_url=ack_url,
        visitor=visitor or {},
        chart_url=chart_url,
        runbook_url=_http_only(str(payload.get("runbook", ""))),
        silence_url=silence_url(base, _common(alerts, "labels")) if state in ("triggered", "acknowledged") else "",
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
    if message.own_title or message.state == NotificationKind.DIGEST.value:
        return message.own_title or message.title
    word = message.severity.upper() if message.state == "triggered" else message.state.upper()
    return f"{word} - {message.title}" if word else message.title


def subject_words(message: Message) -> str:
    """One sentence to be said aloud: `Critical: web is down, and 3 more`."""
    word = (message.severity or message.state) if message.state == "triggered" else message.state
    others = len(message.notification.payload.get("together", ()))
    return f"{word.capitalize()}: {' '.join(message.title.split())}" + (f", and {others} more" if others else "")


def text_body(message: Message) -> str:
    """The whole message as plain text."""
    parts = [headline(message), "", *message.lines, ""]
    if message.ack_url:
        parts.append(f"Acknowledge: {message.ack_url}")
    elif message.answer_url:
        parts.append(f"{'Was it real' if message.state == 'resolved' else 'Resolve or silence'}: {message.answer_url}")
    if message.incident_url:
        parts.append(f"Incident #{message.notification.incident}: {message.incident_url}")
    if message.runbook_url:
        parts.append(f"Runbook: {message.runbook_url}")
    if message.silence_url:
        parts.append(f"Silence: {message.silence_url}")
    if message.chart_url:
        parts.append(f"Chart: {message.chart_url}")
    if listed := alert_lines(message):
        parts += ["", *listed]
    parts += ["", message.why]
    if message.possible_repeat:
        parts.append("(may be a repeat: the answer to an earlier copy was lost)")
    return "\n".join(parts).strip() + "\n"


def html_body(message: Message, *, chart_src: str = "") -> str:
    """The same as HTML for light and dark screens, every text escaped. `chart_src`: `cid:...` of an image in the mail."""
    if page := message.notification.payload.get("html"):
        return str(page)  # A report brings its own.
    tone = message.state if message.state in ("resolved", "acknowledged") else message.severity
    colour = _COLOURS.get(tone, _NEUTRAL)
    buttons = "".join(_button(text, url, colour if first else "") for first, text, url in _ways(message) if url)
    lines = "".join(f"<p class='t' style='margin:0 0 8px;line-height:1.45'>{escape(line)}</p>" for line in message.lines)
    listed = "".join(f"<li style='margin:0 0 3px'>{escape(line)}</li>" for line in alert_lines(message))
    alerts = (
        f"<ul class='t' style='margin:12px 0 0;padding-left:20px;font-size:14px;line-height:1.4'>{listed}</ul>" if listed else ""
    )
    image = (
        f"<img src='{escape(chart_src, quote=True)}' alt='What the rule looks at, with its limit' width='592'"
        " style='display:block;width:100%;max-width:592px;height:auto;margin:14px 0 0;border-radius:6px'>"
        if chart_src
        else ""
    )
    repeat = "<p class='q'>(may be a repeat: the answer to an earlier copy was lost)</p>" if message.possible_repeat else ""
    ways = f"<div style='margin:16px 0 0'>{buttons}</div>" if buttons else ""
    label = f"font-size:12px;font-weight:bold;letter-spacing:0.06em;color:{colour}"
    word, _, title = headline(message).partition(" - ")
    number = f" &middot; #{message.notification.incident}" if message.notification.incident else ""
    preheader = escape(" ".join((message.state, *message.lines[:1])))
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='color-scheme' content='light dark'>"
        "<meta name='supported-color-schemes' content='light dark'><meta name='viewport' content='width=device-width'>"
        f"<style>{_STYLE}</style></head><body class='b' style='margin:0;padding:16px;background:#f3f4f7;{_FONT}'>"
        f"<div style='display:none;max-height:0;overflow:hidden'>{preheader}</div>"
        "<div class='c' style='max-width:640px;margin:0 auto;background:#ffffff;border:1px solid #dfe3ea;border-radius:10px;"
        f"border-top:5px solid {colour};padding:20px 24px;color:#1a1f2b;font-size:15px'>"
        f"<div class='w' style='{label}'>{escape(word)}{number}</div>"
        f"<h1 class='t' style='margin:4px 0 12px;font-size:20px;line-height:1.3;color:#1a1f2b'>{escape(title or word)}</h1>"
        f"{lines}{ways}{image}{alerts}"
        f"<p class='q' style='margin:16px 0 0;color:#5b6577;font-size:13px'>{escape(message.why)}</p>{repeat}</div></body></html>"
    )


def _ways(message: Message) -> list[tuple[bool, str, str]]:
    """(is the main one, text, address) of the buttons."""
    over = message.state == "resolved"
    return [
        (True, "Acknowledge", message.ack_url),
        (not message.ack_url, "Open incident", message.incident_url),
        (False, "Runbook", message.runbook_url),
        (False, "Silence", "" if message.answer_url else message.silence_url),
        (False, "Was it real?" if over else "Silence, resolve ...", message.answer_url),
    ]


def alert_lines(message: Message) -> list[str]:
    """One line per alert with what tells it apart, at most ten; firing ones first."""
    if len(message.alerts) < 2 or message.own_text:
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
    if note.kind in (NotificationKind.TEST, NotificationKind.DIGEST, NotificationKind.PUBLISHED):
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
    if alerts and note.kind is NotificationKind.PAGE and state == "triggered":
        lines.extend(_first_steps(alerts[0]))
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
    if cause := annotations.get("cause"):
        lines.append(_sentence(f"Seen: {_one_line(cause)}"))
    elif isinstance(alert.get("value"), int | float):
        lines.append(f"Value {alert['value']:g}.")
    if impact := annotations.get("impact"):
        lines.append(_sentence(f"Impact: {_one_line(impact)}"))
    return lines


def _first_steps(alert: Mapping[str, Any]) -> list[str]:
    """What to do, at the end: short texts (SMS, push) are cut there."""
    steps = str(alert.get("annotations", {}).get("first_steps", "")).splitlines()
    told = [_one_line(step) for step in steps if step.strip()][:_MOST_STEPS]
    return ["First steps:", *told] if told else []


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:500]


def _why(note: Notification) -> str:
    if note.kind in (NotificationKind.TEST, NotificationKind.PUBLISHED):
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
    """Filled when it has a colour, else outlined."""
    look = f"background:{colour};color:#ffffff;border:1px solid {colour}" if colour else "color:#33415c;border:1px solid #b8c0cc"
    box = "display:inline-block;margin:0 8px 8px 0;padding:10px 16px;border-radius:6px;text-decoration:none;font-weight:bold"
    return f"<a class='{'f' if colour else 'o'}' href='{escape(url, quote=True)}' style='{box};{look}'>{escape(text)}</a>"
