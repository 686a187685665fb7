"""Routing as JSON values, for processes that only read: no destinations and no secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.recurrence import Occurrences, Recurrence
from tocsin.model.route import InclusiveRange, InhibitRule, MaintenanceWindow, Receiver, Route, Routing, TimeInterval, TimeRange

_RANGES = ("weekdays", "days_of_month", "months", "years")


def routing_to_json(routing: Routing) -> dict[str, Any]:
    return {
        "root": _route_to_json(routing.root),
        "receivers": [{"name": r.name, "policy": r.policy, "labels": dict(r.labels)} for r in routing.receivers.values()],
        "inhibit_rules": [
            {"source": _pairs(rule.source), "target": _pairs(rule.target), "equal": list(rule.equal), "name": rule.name}
            for rule in routing.inhibit_rules
        ],
        "time_intervals": {name: [_interval_to_json(i) for i in entries] for name, entries in routing.time_intervals.items()},
        "resolve_timeout_ms": routing.resolve_timeout_ms,
        "severities": list(routing.severities),
        "original": routing.original,
        "maintenance": [window_to_json(window) for window in routing.maintenance],
        "depends_on": {name: list(parents) for name, parents in routing.depends_on.items()},
    }


def routing_from_json(raw: Mapping[str, Any]) -> Routing:
    return Routing(
        root=_route_from_json(raw["root"]),
        receivers={r["name"]: Receiver(r["name"], policy=r["policy"], labels=r["labels"]) for r in raw["receivers"]},
        inhibit_rules=tuple(
            InhibitRule(_matchers(rule["source"]), _matchers(rule["target"]), tuple(rule["equal"]), rule["name"])
            for rule in raw["inhibit_rules"]
        ),
        time_intervals={name: tuple(map(_interval_from_json, entries)) for name, entries in raw["time_intervals"].items()},
        resolve_timeout_ms=raw["resolve_timeout_ms"],
        severities=tuple(raw["severities"]),
        original=raw["original"],
        maintenance=tuple(map(window_from_json, raw["maintenance"])),
        depends_on={name: tuple(parents) for name, parents in raw["depends_on"].items()},
    )


def _route_to_json(route: Route) -> dict[str, Any]:
    return {
        "id": route.id,
        "receiver": route.receiver,
        "matchers": _pairs(route.matchers),
        "group_by": None if route.group_by is None else list(route.group_by),
        "group_wait_ms": route.group_wait_ms,
        "group_interval_ms": route.group_interval_ms,
        "repeat_interval_ms": route.repeat_interval_ms,
        "continue": route.continue_,
        "mute_time_intervals": list(route.mute_time_intervals),
        "active_time_intervals": list(route.active_time_intervals),
        "labels": dict(route.labels),
        "critical_group_wait_ms": route.critical_group_wait_ms,
        "routes": [_route_to_json(child) for child in route.routes],
    }


def _route_from_json(raw: Mapping[str, Any]) -> Route:
    return Route(
        id=raw["id"],
        receiver=raw["receiver"],
        matchers=_matchers(raw["matchers"]),
        group_by=None if raw["group_by"] is None else tuple(raw["group_by"]),
        group_wait_ms=raw["group_wait_ms"],
        group_interval_ms=raw["group_interval_ms"],
        repeat_interval_ms=raw["repeat_interval_ms"],
        continue_=raw["continue"],
        mute_time_intervals=tuple(raw["mute_time_intervals"]),
        active_time_intervals=tuple(raw["active_time_intervals"]),
        labels=raw["labels"],
        critical_group_wait_ms=raw["critical_group_wait_ms"],
        routes=tuple(_route_from_json(child) for child in raw["routes"]),
    )


def _interval_to_json(interval: TimeInterval) -> dict[str, Any]:
    ranges = {name: [[r.begin, r.end] for r in getattr(interval, name)] for name in _RANGES}
    return {"times": [[t.start_minute, t.end_minute] for t in interval.times], **ranges, "location": interval.location}


def _interval_from_json(raw: Mapping[str, Any]) -> TimeInterval:
    ranges = {name: tuple(InclusiveRange(*pair) for pair in raw[name]) for name in _RANGES}
    return TimeInterval(times=tuple(TimeRange(*pair) for pair in raw["times"]), location=raw["location"], **ranges)


def window_to_json(window: MaintenanceWindow) -> dict[str, Any]:
    when = window.occurrences
    return {
        "name": window.name,
        "matchers": _pairs(window.matchers),
        "comment": window.comment,
        "public": window.public,
        "rule": None if when.rule is None else {**asdict(when.rule), "until": when.rule.until and when.rule.until.isoformat()},
        "start": when.start.isoformat(),
        "duration_ms": when.duration_ms,
        "time_zone": when.time_zone,
        "ended": [list(pair) for pair in when.ended],
        "id": window.id,
    }


def window_from_json(raw: Mapping[str, Any]) -> MaintenanceWindow:
    rule = None
    if raw["rule"] is not None:
        until = raw["rule"]["until"]
        rule = Recurrence(
            **{
                **raw["rule"],
                "by_day": tuple((ordinal, weekday) for ordinal, weekday in raw["rule"]["by_day"]),
                "by_month_day": tuple(raw["rule"]["by_month_day"]),
                "by_month": tuple(raw["rule"]["by_month"]),
                "until": until and date.fromisoformat(until),
            }
        )
    ended = tuple((start_ms, end_ms) for start_ms, end_ms in raw.get("ended", ()))
    when = Occurrences(rule, datetime.fromisoformat(raw["start"]), raw["duration_ms"], raw["time_zone"], ended)
    name, matchers = raw["name"], _matchers(raw["matchers"])
    return MaintenanceWindow(name, matchers, when, raw["comment"], raw.get("public", ""), raw.get("id", ""))


def _pairs(matchers: Iterable[Matcher]) -> list[list[str]]:
    return [[m.name, m.op.value, m.value] for m in matchers]


def _matchers(raw: Iterable[Iterable[str]]) -> tuple[Matcher, ...]:
    return tuple(Matcher(name, MatchOp(op), value) for name, op, value in raw)
