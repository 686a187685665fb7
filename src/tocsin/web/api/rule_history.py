"""One alerting rule, as its page needs it: each series now, when it fired, and whether anybody had to do something then."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from starlette.requests import Request
from starlette.responses import Response

from tocsin.incidents.schedule import parse_instant
from tocsin.state.schema import episodes, incidents, notifications
from tocsin.web.answers import json_answer
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import row_number
from tocsin.web.problem import Refused

_DAY_MS = 86_400_000
_MOST_DAYS = 400
_MOST_READ = 5_000
_MOST_SHOWN = 200
_MOST_SERIES = 500
_TEMPLATE = "{{"


@dataclass(frozen=True, slots=True)
class RuleFiring:
    fingerprint: str
    labels: Mapping[str, str]
    starts_at_ms: int
    ends_at_ms: int
    """0 = it fires still."""
    ended_by: str
    incident: int
    acted: bool
    """Somebody took the incident, or judged it to be real."""


@dataclass(frozen=True, slots=True)
class RuleSeries:
    """One label set that the rule is or was true for."""

    fingerprint: str
    """Of its alert; empty while it never fired."""
    labels: Mapping[str, str]
    state: str
    """inactive, pending, firing or clearing."""
    since_ms: int
    value: float | None
    note: str
    fired: int
    """How often, within the time looked at."""


@dataclass(frozen=True, slots=True)
class RuleHistory:
    now_ms: int
    from_ms: int
    places: Sequence[str]
    """Where it is written, `file:line`; one for each rule of that name in the group."""
    fired: int
    acted: int
    """Firings that somebody acted on. Many firings that nobody acted on are noise."""
    median_ms: int | None
    """How long a firing lasts."""
    pages: int
    """Messages that interrupted somebody because of it."""
    real: int
    noise: int
    """Incidents of it that people judged to be noise or duplicates."""
    series: Sequence[RuleSeries]
    firings: Sequence[RuleFiring]
    """Newest first, two hundred at most."""


class RuleHistories:
    """The handler of `/rules/history`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [Endpoint(prefix + "/rules/history", self.history, permission=Permission.VIEWER, answer=RuleHistory)]

    async def history(self, request: Request) -> Response:
        """Past and present of the alerting rules called `rule` in `group`, over the last `days` (30)"""
        query = request.query_params
        days = row_number(query.get("days", "") or "30")
        if days is None or not 1 <= days <= _MOST_DAYS:
            raise Refused(400, "bad_days", f"days: expected a number from 1 to {_MOST_DAYS}")
        state: Mapping[str, Any] = await self._desk.state.try_ask("rules.state", {})
        rules = _named(state, query.get("group", ""), query.get("rule", ""))
        if not rules:
            raise Refused(404, "no_such_rule", "there is no alerting rule of that `rule` name in that `group`")
        now_ms = self._desk.now_ms()
        from_ms = now_ms - days * _DAY_MS
        answer = await self._desk.parts.database.read(lambda tx: rule_history(tx, rules, from_ms, now_ms))
        return await json_answer(request, answer)


def _named(state: Mapping[str, Any], group: str, name: str) -> list[Mapping[str, Any]]:
    groups = (one for one in state.get("groups", ()) if one.get("name") == group)
    rules = (rule for one in groups for rule in one.get("rules", ()))
    return [rule for rule in rules if rule.get("name") == name and rule.get("type", "alerting") == "alerting"]


def rule_history(tx: Connection, rules: Sequence[Mapping[str, Any]], from_ms: int, now_ms: int) -> RuleHistory:
    """`rules` as in the data of Prometheus's /api/v1/rules: those of one name in one group."""
    e = episodes.c
    ended = sa.or_(e.ends_at_ms == 0, e.ends_at_ms >= from_ms)
    query = sa.select(episodes).where(e.alertname == rules[0]["name"], ended).order_by(e.starts_at_ms.desc()).limit(_MOST_READ)
    found = [row for row in tx.execute(query) if any(_is_of(rule, row.labels) for rule in rules)]
    judged = _incidents(tx, {row.incident for row in found if row.incident})
    firings = [_firing(row, judged.get(row.incident)) for row in found]
    lasted = [(row.ends_at_ms or now_ms) - row.starts_at_ms for row in found]
    return RuleHistory(
        now_ms=now_ms,
        from_ms=from_ms,
        places=[place for rule in rules if (place := str(rule.get("tocsin", {}).get("place", "")))],
        fired=len(firings),
        acted=sum(firing.acted for firing in firings),
        median_ms=round(statistics.median(lasted)) if lasted else None,
        pages=_pages(tx, judged, from_ms),
        real=sum(row.verdict == "real" for row in judged.values()),
        noise=sum(row.verdict in ("noise", "duplicate") for row in judged.values()),
        series=_series(rules, found),
        firings=firings[:_MOST_SHOWN],
    )


def _is_of(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Rules may share a name: what a rule always adds (`check`, `severity`) tells their alerts apart; empty = taken away."""
    return all(labels.get(name, "") == value for name, value in rule.get("labels", {}).items() if _TEMPLATE not in value)


def _incidents(tx: Connection, numbers: Iterable[int]) -> dict[int, Any]:
    c = incidents.c
    query = sa.select(c.number, c.acknowledged_ms, c.verdict).where(c.number.in_(sorted(numbers)))
    return {row.number: row for row in tx.execute(query)}


def _firing(row: Row[Any], incident: Row[Any] | None) -> RuleFiring:
    acted = incident is not None and (incident.acknowledged_ms > 0 or incident.verdict == "real")
    return RuleFiring(row.fingerprint, row.labels, row.starts_at_ms, row.ends_at_ms, row.ended_by, row.incident, acted)


def _pages(tx: Connection, numbers: Iterable[int], from_ms: int) -> int:
    c = notifications.c
    to_people = c.settings_ref.startswith("user:", autoescape=True)
    told = (c.kind == "page", c.state.in_(("accepted", "delivered", "read")), c.created_ms >= from_ms, to_people)
    return tx.execute(sa.select(sa.func.count()).where(c.incident.in_(sorted(numbers)), *told)).scalar() or 0


def _series(rules: Sequence[Mapping[str, Any]], found: Sequence[Row[Any]]) -> list[RuleSeries]:
    """Those that are true now, then those that were; an alert carries the external labels besides its own."""
    past: dict[str, list[Row[Any]]] = {}
    for row in found:
        past.setdefault(row.fingerprint, []).append(row)
    now = [alert for rule in rules for alert in rule.get("alerts", ())]
    series: list[RuleSeries] = []
    for alert in now[:_MOST_SERIES]:
        labels: Mapping[str, str] = alert.get("labels", {})
        told = next((key for key, rows in past.items() if labels.items() <= rows[0].labels.items()), "")
        series.append(_true_now(alert, told, len(past.pop(told, ()))))
    for key, rows in list(past.items())[: _MOST_SERIES - len(series)]:
        series.append(RuleSeries(key, rows[0].labels, "inactive", rows[0].ends_at_ms, None, rows[0].ended_by, len(rows)))
    return series


def _true_now(alert: Mapping[str, Any], fingerprint: str, fired: int) -> RuleSeries:
    own: Mapping[str, Any] = alert.get("tocsin", {})
    value = float(alert["value"]) if alert.get("value") not in (None, "") else None
    since_ms = parse_instant(alert["activeAt"], "activeAt") if alert.get("activeAt") else 0
    state = str(own.get("phase") or alert.get("state", ""))
    finite = value if value is not None and abs(value) < float("inf") else None
    key = fingerprint or str(own.get("fingerprint", ""))
    return RuleSeries(key, alert.get("labels", {}), state, since_ms, finite, str(own.get("note", "")), fired)
