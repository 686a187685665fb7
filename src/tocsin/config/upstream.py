"""Parts of upstream sections that become values of several stages: Alertmanagers to send to, planned work, a remote source."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tocsin.config.schema import Maintenance, SourceSection
from tocsin.formats.matchers import parse_matchers
from tocsin.model.recurrence import Occurrences, parse_rrule
from tocsin.model.route import MaintenanceWindow
from tocsin.remote.alertmanager import AlertmanagerTarget
from tocsin.remote.read import RemoteSource

_KNOWN = {"static_configs", "scheme", "path_prefix", "timeout", "api_version", "basic_auth", "authorization"}


def alertmanager_targets(entries: tuple[Mapping[str, Any], ...]) -> tuple[AlertmanagerTarget, ...]:
    """`alerting.alertmanagers` with static targets. Raises ValueError `path: what is wrong` for what would not be sent."""
    found: list[AlertmanagerTarget] = []
    for i, entry in enumerate(entries):
        where = f"alerting.alertmanagers[{i}]"
        for key in entry:
            if key not in _KNOWN:
                raise ValueError(f"{where}.{key}: not supported for sending alerts on (known: {', '.join(sorted(_KNOWN))})")
        if entry.get("api_version", "v2") != "v2":
            raise ValueError(f"{where}.api_version: only v2 exists any more")
        prefix = str(entry.get("path_prefix", "")).rstrip("/")
        for group in entry.get("static_configs") or []:
            for address in group.get("targets") or []:
                url = f"{entry.get('scheme', 'http')}://{address}{prefix}"
                found.append(AlertmanagerTarget(url, _headers(entry)))
    return tuple(found)


def _headers(entry: Mapping[str, Any]) -> dict[str, str]:
    if basic := entry.get("basic_auth"):
        pair = f"{basic.get('username', '')}:{basic.get('password', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    if bearer := entry.get("authorization"):
        return {"Authorization": f"{bearer.get('type', 'Bearer')} {bearer.get('credentials', '')}"}
    return {}


def maintenance_windows(sections: tuple[Maintenance, ...]) -> tuple[MaintenanceWindow, ...]:
    """Raises ValueError `path: what is wrong`."""
    found = []
    for i, section in enumerate(sections):
        try:
            matchers = tuple(matcher for text in section.match for matcher in parse_matchers(text))
            rule = parse_rrule(section.repeat) if section.repeat else None
            start = datetime.fromisoformat(section.start)
        except ValueError as error:
            raise ValueError(f"maintenance[{i}]: {error}") from None
        if start.tzinfo is not None:
            raise ValueError(f"maintenance[{i}].start: is local time of `time_zone`: leave the offset away")
        occurrences = Occurrences(rule, start, section.duration, section.time_zone)
        found.append(MaintenanceWindow(section.name, matchers, occurrences, section.comment))
    return tuple(found)


def remote_source(section: SourceSection | None) -> RemoteSource | None:
    if section is None:
        return None
    return RemoteSource(
        section.prometheus.rstrip("/"),
        username=section.username,
        password=section.password,
        bearer_token=section.bearer_token,
        timeout_s=section.timeout / 1000,
    )


_MAIL_KEYS = {
    "smtp_from": "from",
    "smtp_smarthost": "smarthost",
    "smtp_auth_username": "auth_username",
    "smtp_auth_password": "auth_password",
    "smtp_require_tls": "require_tls",
}


def channel_defaults(shared: Any, own: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """What is said once for everybody's contacts: Alertmanager's mail settings (TLS unless said otherwise), and `channels:`."""
    shared = shared if isinstance(shared, dict) else {}
    mail = {ours: shared[key] for key, ours in _MAIL_KEYS.items() if shared.get(key) is not None}
    found: dict[str, Mapping[str, Any]] = {"email": {"require_tls": True, **mail}} if mail else {}
    return {**found, **{channel: {**found.get(channel, {}), **settings} for channel, settings in own.items()}}
