"""Alerts: firing, pending and past ones, each with why it was told or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.formats.matchers import MatcherError, parse_matchers
from tocsin.model.alert import AlertPhase
from tocsin.model.labels import Matcher, all_match
from tocsin.state import events
from tocsin.state.schema import alert_states, alerts, episodes
from tocsin.web.answers import json_answer
from tocsin.web.api.alert_rows import AlertContext, RuleIndex, alert_page, alerts_at
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.paging import page_of
from tocsin.web.api.shapes import AlertDetail, AlertList, AlertRow, Episode, TimelineEntry
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.problem import Refused

_HISTORY = 200
STATES = ("firing", "pending", "clearing", "resolved")


class Alerts:
    """Handlers of `/alerts`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer = Permission.VIEWER
        return [
            Endpoint(prefix + "/alerts", self.list, permission=viewer, answer=AlertList),
            Endpoint(prefix + "/alerts/{fingerprint}", self.detail, permission=viewer, answer=AlertDetail),
        ]

    async def list(self, request: Request) -> Response:
        """Alerts by `state` (firing,pending,clearing,resolved), `severity`, `m` (repeated), `q` (text); `at` = fired then."""
        query = request.query_params
        wanted = _states(query.get("state", ""))
        chosen = Filter.of(query.get("severity", ""), query.getlist("m"), query.get("q", ""))
        page = page_of(query)
        rules = await self.rules()
        now_ms = self._desk.now_ms()
        if is_past(request):
            at_ms = moment_of(request, now_ms)
            found = await self._desk.parts.database.read(lambda tx: alerts_at(tx, rules, at_ms))
            then = [row for row in found if "firing" in wanted and chosen.keeps(row)]
            return await json_answer(request, AlertList(now_ms, self._desk.hub.cursor, then, ""))
        rows, following = await self._desk.parts.database.read(lambda tx: alert_page(tx, wanted, rules, now_ms, page))
        kept = [row for row in rows if chosen.keeps(row)]
        return await json_answer(request, AlertList(now_ms, self._desk.hub.cursor, kept, following))

    async def detail(self, request: Request) -> Response:
        """One alert with its past and every decision about it; `at` = as it was then, as far as it is kept."""
        fingerprint = request.path_params["fingerprint"]
        rules = await self.rules()
        now_ms = self._desk.now_ms()
        at_ms = moment_of(request, now_ms)
        read = _detail_at if is_past(request) else _detail
        answer = await self._desk.parts.database.read(lambda tx: read(tx, fingerprint, rules, at_ms))
        if answer is None:
            then = ", or it had not fired yet at that time" if is_past(request) else ""
            raise Refused(404, "no_such_alert", f"there is no alert {fingerprint!r}{then}")
        return await json_answer(request, replace(answer, now_ms=now_ms, cursor=self._desk.hub.cursor))

    async def rules(self) -> RuleIndex:
        return RuleIndex.of(await self._desk.state.try_ask("rules.state", {}))


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to."""

    severities: frozenset[str]
    matchers: tuple[Matcher, ...]
    text: str

    @classmethod
    def of(cls, severity: str, matchers: Iterable[str], text: str) -> Filter:
        """Raises Refused 400 for a text that is no matcher."""
        try:
            parsed = tuple(matcher for item in matchers for matcher in parse_matchers(item))
        except MatcherError as error:
            raise Refused(400, "bad_matcher", str(error)) from None
        return cls(frozenset(filter(None, severity.split(","))), parsed, text.lower())

    def keeps(self, row: AlertRow) -> bool:
        if self.severities and row.severity not in self.severities:
            return False
        if not all_match(self.matchers, row.labels):
            return False
        return not self.text or any(self.text in value.lower() for value in (row.name, *row.labels.values()))


def _states(text: str) -> set[str]:
    wanted = set(filter(None, text.split(","))) or {"firing", "pending", "clearing"}
    if unknown := wanted - set(STATES):
        raise Refused(400, "bad_state", f"unknown state {', '.join(sorted(unknown))}: expected {', '.join(STATES)}")
    return wanted


# -- one alert -------------------------------------------------------------------------------------------------------


def _detail(tx: Connection, fingerprint: str, rules: RuleIndex, now_ms: int) -> AlertDetail | None:
    context = AlertContext.read(tx, now_ms)
    row = _current(tx, context, fingerprint, rules, now_ms)
    past = _episodes(tx, fingerprint, now_ms)
    if row is None:
        if not past:
            return None
        row = context.from_episode(past[0], rules)
    history = [Episode(e.starts_at_ms, e.ends_at_ms, e.ended_by, e.incident) for e in past]
    return _with_past(row, history, timeline_entries(tx, f"alert:{fingerprint}"))


def _detail_at(tx: Connection, fingerprint: str, rules: RuleIndex, at_ms: int) -> AlertDetail | None:
    """An alert as it was: what had happened to it by then. That it was pending then is not kept."""
    past = _episodes(tx, fingerprint, at_ms)
    if not past:
        return None
    row = replace(AlertContext.read(tx, at_ms).from_episode(past[0], rules), acknowledged_by="")
    trace = [entry for entry in timeline_entries(tx, f"alert:{fingerprint}") if entry.t_ms <= at_ms]
    firing = past[0].ends_at_ms == 0 or past[0].ends_at_ms > at_ms
    if firing:
        row = replace(row, state="firing", ends_at_ms=0, explanation=trace[-1].text if trace else "")
    # What ended later had not ended.
    history = [
        Episode(e.starts_at_ms, e.ends_at_ms, e.ended_by, e.incident)
        if 0 < e.ends_at_ms <= at_ms
        else Episode(e.starts_at_ms, 0, "", e.incident)
        for e in past
    ]
    return _with_past(row, history, trace)


def _with_past(row: AlertRow, history: Sequence[Episode], trace: Sequence[TimelineEntry]) -> AlertDetail:
    own = {name: getattr(row, name) for name in AlertRow.__dataclass_fields__}
    return AlertDetail(**own, history=history, trace=trace, now_ms=0, cursor=0)


def _episodes(tx: Connection, fingerprint: str, until_ms: int) -> list[Any]:
    """How often it fired, newest first: what had begun by then."""
    e = episodes.c
    query = sa.select(episodes).where(e.fingerprint == fingerprint, e.starts_at_ms <= until_ms)
    return list(tx.execute(query.order_by(e.starts_at_ms.desc()).limit(_HISTORY)))


def _current(tx: Connection, context: AlertContext, fingerprint: str, rules: RuleIndex, now_ms: int) -> AlertRow | None:
    row = tx.execute(sa.select(alerts).where(alerts.c.fingerprint == fingerprint)).first()
    if row is not None and (row.ends_at_ms == 0 or row.ends_at_ms > now_ms):
        return context.from_alert(row, rules, "firing")
    state = tx.execute(
        sa.select(alert_states).where(alert_states.c.fingerprint == fingerprint, alert_states.c.phase == AlertPhase.PENDING)
    ).first()
    if state is not None:
        return context.from_state(state, rules)
    return context.from_alert(row, rules, "resolved") if row is not None else None


def timeline_entries(tx: Connection, subject: str, *, limit: int = 1000) -> list[TimelineEntry]:
    """Events about a subject, oldest first."""
    return [
        TimelineEntry(event.id, event.t_ms, event.actor, event.verb, event.text, event.cause, event.data)
        for event in events.read(tx, subject=subject, limit=limit)
    ]
