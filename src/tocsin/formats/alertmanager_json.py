"""JSON of Alertmanager's API v2 and of its webhook (version 4): bytes to alerts and silences, and back.

Behaviour measured on Alertmanager 0.33.1: one invalid alert does not lose the valid ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from tocsin.formats.matchers import MatcherError, make_matcher
from tocsin.formats.times import ZERO_TEXT, format_rfc3339, parse_rfc3339_ms
from tocsin.model.alert import Alert, SuppressedBy, Suppression
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.route import Silence

_OPS = {
    (True, False): MatchOp.EQUAL,
    (False, False): MatchOp.NOT_EQUAL,
    (True, True): MatchOp.REGEX,
    (False, True): MatchOp.NOT_REGEX,
}
_REGEX = (MatchOp.REGEX, MatchOp.NOT_REGEX)
_POSITIVE = (MatchOp.EQUAL, MatchOp.REGEX)


class BodyError(ValueError):
    """A body is refused as a whole. `code` is go-swagger's; the answer is `{"code": .., "message": ..}` with `status`."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


# -- alerts in ------------------------------------------------------------------------------------------------------------


def parse_alerts(body: bytes, *, now_ms: int, resolve_timeout_ms: int) -> tuple[list[Alert], list[str]]:
    """The valid alerts of a POST to /api/v2/alerts, completed, and what is wrong with the others. Raises BodyError."""
    raw = _json(body, "alerts")
    if not isinstance(raw, list):
        raise BodyError(400, 400, 'parsing alerts body from "" failed, because a list was expected')
    for index, entry in enumerate(raw):
        if not isinstance(entry, Mapping):
            raise BodyError(400, 400, f'parsing alerts body from "" failed, because entry {index} is not an object')
        if entry.get("labels") is None:
            raise BodyError(422, 602, f"{index}.labels in body is required")
    alerts: list[Alert] = []
    problems: list[str] = []
    for entry in raw:
        try:
            alerts.append(_alert(entry, now_ms, resolve_timeout_ms))
        except _InvalidAlert as error:
            problems.append(str(error))
    return alerts, problems


class _InvalidAlert(ValueError):
    pass


def _alert(entry: Mapping[str, Any], now_ms: int, resolve_timeout_ms: int) -> Alert:
    labels = Labels(_string_map(entry["labels"], "labels"))
    annotations = _string_map(entry.get("annotations") or {}, "annotations")
    starts_at_ms, ends_at_ms = _time(entry, "startsAt"), _time(entry, "endsAt")
    if not starts_at_ms:
        starts_at_ms = ends_at_ms or now_ms
    timeout = not ends_at_ms
    if timeout:
        ends_at_ms = now_ms + resolve_timeout_ms
    if ends_at_ms < starts_at_ms:
        raise _InvalidAlert("start time must be before end time")
    if not labels:
        raise _InvalidAlert("at least one label pair required")
    if "" in labels or "" in annotations:
        raise _InvalidAlert('invalid name ""')
    generator = entry.get("generatorURL") or ""
    return Alert(
        labels,
        {name: value for name, value in annotations.items() if value != ""},
        starts_at_ms,
        ends_at_ms,
        updated_at_ms=now_ms,
        timeout=timeout,
        generator_url=str(generator) if _shown_as_link(str(generator)) else "",
    )


def _shown_as_link(url: str) -> bool:
    """Only http(s) leads anywhere a browser should go; the API takes whatever is sent."""
    return urlsplit(url).scheme in ("http", "https") if url else False


def _string_map(value: Any, what: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise BodyError(400, 400, f'parsing alerts body from "" failed, because {what} must map text to text')
    return dict(value)


def _time(entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name)
    if value is None or value == "":
        return 0
    try:
        return parse_rfc3339_ms(str(value))
    except ValueError as error:
        raise BodyError(400, 400, f'parsing body from "" failed, because {name} is {error}') from None


def alerts_from_webhook(body: bytes, *, now_ms: int) -> list[Alert]:
    """Alerts of a webhook (version 4) that another Alertmanager or Grafana sent. Raises BodyError."""
    raw = _json(body, "webhook")
    if not isinstance(raw, Mapping) or not isinstance(raw.get("alerts"), list):
        raise BodyError(400, 400, "expected an Alertmanager webhook body with a list `alerts`")
    alerts = []
    for entry in raw["alerts"]:
        if not isinstance(entry, Mapping) or not entry.get("labels"):
            raise BodyError(422, 602, "alerts.labels in body is required")
        resolved = entry.get("status") == "resolved"
        ends_at_ms = _time(entry, "endsAt") or (now_ms if resolved else 0)
        alerts.append(
            Alert(
                Labels(_string_map(entry["labels"], "labels")),
                _string_map(entry.get("annotations") or {}, "annotations"),
                _time(entry, "startsAt") or now_ms,
                ends_at_ms if resolved else 0,
                updated_at_ms=now_ms,
                generator_url=str(entry.get("generatorURL") or ""),
            )
        )
    return alerts


# -- alerts between processes ---------------------------------------------------------------------------------------------


def alerts_to_command(alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """JSON values for the command `alerts.post`."""
    return [
        {
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "starts_at_ms": alert.starts_at_ms,
            "ends_at_ms": alert.ends_at_ms,
            "timeout": alert.timeout,
            "generator_url": alert.generator_url,
            "source": alert.source,
            "value": alert.value,
        }
        for alert in alerts
    ]


def alerts_from_command(raw: Sequence[Mapping[str, Any]]) -> list[Alert]:
    return [
        Alert(
            Labels(entry["labels"]),
            dict(entry.get("annotations", {})),
            int(entry["starts_at_ms"]),
            int(entry.get("ends_at_ms", 0)),
            timeout=bool(entry.get("timeout", False)),
            generator_url=str(entry.get("generator_url", "")),
            source=str(entry.get("source", "")),
            value=entry.get("value"),
        )
        for entry in raw
    ]


# -- alerts out -----------------------------------------------------------------------------------------------------------


def alert_json(
    alert: Alert,
    *,
    fingerprint: str,
    causes: Sequence[SuppressedBy],
    receivers: Iterable[str],
    ends_at_ms: int,
    muted_by: Sequence[str] = (),
) -> dict[str, Any]:
    """A gettable alert. `ends_at_ms` is what a client should see as the end of one that is not known to end."""
    silenced = [c.by for c in causes if c.kind is Suppression.SILENCED]
    inhibited = [c.by for c in causes if c.kind is Suppression.INHIBITED]
    # Clients look silences and alerts up by these names; what is neither stands with the time intervals.
    muted = [*muted_by, *(c.by for c in causes if c.kind in (Suppression.MAINTENANCE, Suppression.DEPENDENCY))]
    return {
        "annotations": dict(alert.annotations),
        "endsAt": format_rfc3339(alert.ends_at_ms or ends_at_ms),
        "fingerprint": fingerprint,
        "receivers": [{"name": name} for name in receivers],
        "startsAt": format_rfc3339(alert.starts_at_ms),
        "status": {
            "inhibitedBy": inhibited,
            "mutedBy": muted,
            "silencedBy": silenced,
            "state": "suppressed" if silenced or inhibited or muted else "active",
        },
        "updatedAt": format_rfc3339(alert.updated_at_ms),
        "labels": dict(alert.labels),
        **({"generatorURL": alert.generator_url} if alert.generator_url else {}),
    }


def postable_alert(alert: Alert, *, ends_at_ms: int) -> dict[str, Any]:
    """An alert as Prometheus sends it to an Alertmanager."""
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": format_rfc3339(alert.starts_at_ms),
        "endsAt": format_rfc3339(alert.ends_at_ms or ends_at_ms),
        "generatorURL": alert.generator_url,
    }


# -- silences -------------------------------------------------------------------------------------------------------------


def parse_silence(body: bytes) -> Silence:
    """A posted silence, not yet judged. Raises BodyError with go-swagger's codes."""
    raw = _json(body, "silence")
    if not isinstance(raw, Mapping):
        raise BodyError(400, 400, 'parsing silence body from "" failed, because an object was expected')
    for name in ("comment", "createdBy", "endsAt", "matchers", "startsAt"):
        if raw.get(name) is None:
            raise BodyError(422, 602, f"{name} in body is required")
    if not isinstance(raw["matchers"], list):
        raise BodyError(400, 400, 'parsing silence body from "" failed, because matchers is not a list')
    if not raw["matchers"]:
        raise BodyError(422, 612, "matchers in body should have at least 1 items")
    annotations = raw.get("annotations") or {}
    return Silence(
        id=str(raw.get("id") or ""),
        matchers=tuple(_posted_matcher(index, entry) for index, entry in enumerate(raw["matchers"])),
        starts_at_ms=_time(raw, "startsAt"),
        ends_at_ms=_time(raw, "endsAt"),
        created_by=str(raw["createdBy"]),
        comment=str(raw["comment"]),
        annotations=_string_map(annotations, "annotations"),
    )


def _posted_matcher(index: int, entry: Any) -> Matcher:
    if not isinstance(entry, Mapping):
        raise BodyError(400, 400, f'parsing silence body from "" failed, because matcher {index} is not an object')
    for name in ("isRegex", "name", "value"):
        if entry.get(name) is None:
            raise BodyError(422, 602, f"matchers.{index}.{name} in body is required")
    return matcher_from_json(entry)


def matcher_from_json(entry: Mapping[str, Any]) -> Matcher:
    """Raises MatcherError for a regular expression that cannot be used."""
    equal = entry.get("isEqual")
    op = _OPS[equal is not False, bool(entry.get("isRegex", False))]
    return make_matcher(str(entry["name"]), op, str(entry["value"]))


def matcher_json(matcher: Matcher) -> dict[str, Any]:
    return {
        "isEqual": matcher.op in _POSITIVE,
        "isRegex": matcher.op in _REGEX,
        "name": matcher.name,
        "value": matcher.value,
    }


def silence_json(silence: Silence, now_ms: int) -> dict[str, Any]:
    """A gettable silence."""
    return {
        "id": silence.id,
        "status": {"state": silence.state(now_ms).value},
        "updatedAt": format_rfc3339(silence.updated_at_ms),
        "annotations": dict(silence.annotations),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": format_rfc3339(silence.ends_at_ms),
        "matchers": [matcher_json(matcher) for matcher in silence.matchers],
        "startsAt": format_rfc3339(silence.starts_at_ms),
    }


def silence_to_command(silence: Silence) -> dict[str, Any]:
    """JSON values for the command `silence.set`."""
    return {
        "id": silence.id,
        "matchers": [matcher_json(matcher) for matcher in silence.matchers],
        "starts_at_ms": silence.starts_at_ms,
        "ends_at_ms": silence.ends_at_ms,
        "created_by": silence.created_by,
        "comment": silence.comment,
        "annotations": dict(silence.annotations),
    }


def silence_from_command(raw: Mapping[str, Any], *, now_ms: int) -> Silence:
    """The silence of a command; `duration_ms` may stand for `ends_at_ms`. Raises MatcherError, KeyError, ValueError."""
    starts_at_ms = int(raw.get("starts_at_ms") or 0) or now_ms
    ends_at_ms = int(raw.get("ends_at_ms") or 0) or starts_at_ms + int(raw.get("duration_ms") or 0)
    return Silence(
        id=str(raw.get("id") or ""),
        matchers=tuple(matcher_from_json(entry) for entry in raw["matchers"]),
        starts_at_ms=starts_at_ms,
        ends_at_ms=ends_at_ms,
        created_by=str(raw.get("created_by") or ""),
        comment=str(raw.get("comment") or ""),
        annotations=dict(raw.get("annotations") or {}),
    )


def _json(body: bytes, what: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(400, 400, f'parsing {what} body from "" failed, because {error}') from None


__all__ = [
    "ZERO_TEXT",
    "BodyError",
    "MatcherError",
    "alert_json",
    "alerts_from_command",
    "alerts_from_webhook",
    "alerts_to_command",
    "matcher_from_json",
    "matcher_json",
    "parse_alerts",
    "parse_silence",
    "postable_alert",
    "silence_from_command",
    "silence_json",
    "silence_to_command",
]
