"""An incident as Markdown, for a review or another tool: facts, what was done, who was told, the whole timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tocsin.model.duration import human_duration

_ACTIVE = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|~!"} | {"&": "&amp;"})
"""Characters that mean something to Markdown or HTML. Titles and labels come from outside: they must stay text."""


def markdown(incident: Mapping[str, Any], *, external_url: str = "") -> str:
    """`incident` as `why.incident_detail` answers it (api.ts IncidentDetail). Times are UTC."""
    parts: list[Iterable[str]] = [
        [f"# Incident #{incident['number']}: {_text(incident['title'])}"],
        _facts(incident, external_url),
        _remediation(incident),
        _alerts(incident["alerts"]),
        _changes(incident.get("changes") or ()),
        _told(incident["why"]),
        _timeline(incident["timeline"]),
        _earlier(incident["similar"]),
    ]
    blocks = ["\n".join(lines) for lines in map(list, parts) if lines]
    return "\n\n".join(blocks) + "\n"


def _facts(incident: Mapping[str, Any], external_url: str) -> list[str]:
    started, acknowledged, resolved = (int(incident[f"{name}_ms"]) for name in ("created", "acknowledged", "resolved"))
    rows = [
        ("State", f"{incident['state']}, {incident['severity'] or 'no severity'}"),
        ("Service", incident["service"]),
        ("Began", _time(started)),
        ("Acknowledged", _when(acknowledged, started, incident["acknowledged_by"])),
        ("Resolved", _when(resolved, started, incident["resolved_by"])),
        ("Policy", incident["policy"]),
        ("Assigned to", incident["assignee"]),
        ("Verdict", incident["verdict"]),
        ("Runbook", incident["runbook"]),
        ("Link", f"{external_url}/incidents/{incident['number']}" if external_url else ""),
    ]
    return [f"- {name}: {_text(value)}" for name, value in rows if value]


def _when(t_ms: int, started_ms: int, who: str) -> str:
    if not t_ms:
        return ""
    return f"{_time(t_ms)}{f' by {who}' if who else ''}, after {human_duration(max(t_ms - started_ms, 0))}"


def _remediation(incident: Mapping[str, Any]) -> list[str]:
    found: Mapping[str, Any] = incident["remediation"] or {}
    lines = [f"- {name}: {_text(found[key])}" for key, name in _REMEDIATION if found.get(key)]
    if "held" in found:
        lines.append(f"- It held: {'yes' if found['held'] else 'no'}")
    todos = [todo if isinstance(todo, Mapping) else {"text": todo} for todo in found.get("follow_ups") or ()]
    lines += [f"- [{'x' if todo.get('done') else ' '}] {_follow_up(todo)}" for todo in todos]
    lines += [f"- See {_text(link)}" for link in found.get("links") or ()]
    return ["## What was done", "", *lines] if lines else []


_REMEDIATION = (("summary", "Summary"), ("cause", "Cause"), ("action", "Action"))


def _follow_up(todo: Mapping[str, Any]) -> str:
    about = ", ".join(f"{word}{todo[key]}" for key, word in (("owner", ""), ("due", "due ")) if todo.get(key))
    return _text(f"{todo.get('text', '')} ({about})" if about else todo.get("text", ""))


def _alerts(alerts: Sequence[Mapping[str, Any]]) -> list[str]:
    if not alerts:
        return []
    rows = [
        (
            alert["name"],
            ", ".join(f"{k}={v}" for k, v in sorted(alert["labels"].items()) if k != "alertname"),
            _time(alert["starts_at_ms"]),
            _time(alert["ends_at_ms"]) if alert["ends_at_ms"] else "firing",
        )
        for alert in alerts
    ]
    return ["## Alerts", "", *_table(("alert", "labels", "from", "until"), rows)]


def _changes(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"- {_time(one['t_ms'])}: {_text(' '.join((one['kind'], one['service'], one['text'])))}" for one in changes]
    return ["## Changes around it", "", *lines] if lines else []


def _told(why: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [("told" if row["told"] else "not told", row["who"], _time(row["t_ms"]), row["text"]) for row in why]
    return ["## Who was told", "", *_table(("", "who", "when", "why"), rows)] if rows else []


def _timeline(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"- {_time(entry['t_ms'])} ({_text(entry['actor'])}): {_text(entry['text'])}" for entry in entries]
    return ["## Timeline", "", *lines] if lines else []


def _earlier(similar: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"- #{row['number']}, {_time(row['created_ms'])}: {_text(row['title'])}"
        + (f"; {_text(fix)}" if (fix := _fix(row)) else "")
        for row in similar
    ]
    return ["## Earlier incidents of the same group", "", *lines] if lines else []


def _fix(row: Mapping[str, Any]) -> str:
    """What helped an earlier time: rollback: back to 77aa; cause: ...; it held."""
    cause, held = row.get("cause"), row.get("held")
    parts = (
        ": ".join(str(part) for part in (row.get("action"), row["remediation"]) if part),
        f"cause: {cause}" if cause else "",
        "" if held is None else "it held" if held else "it did not hold",
    )
    return "; ".join(part for part in parts if part)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows),
    ]


def _text(value: Any) -> str:
    """One line of plain text, whatever came in."""
    return " ".join(str(value).split()).translate(_ACTIVE)


def _time(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if t_ms else "-"
