"""What is wrong, since when, who has it: one answer for the home screen, cheap enough for a wall of browsers.

Metrics come from one thread that asks the follower a dozen queries every few seconds at most; rows come from one read
transaction; the answer is kept for as long as the cursor stands still and a moment beyond. So is that of a scope, beside it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.model.check import CheckState
from tocsin.web.answers import bytes_answer, dumps, json_answer
from tocsin.web.api.incidents import directory_of
from tocsin.web.api.metrics_view import MetricsView, read_metrics
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.overview_rows import Rows
from tocsin.web.api.scope import EVERYTHING, LabelNames, Narrowing, Scope, scope_of
from tocsin.web.api.services import Judged, service_rows, services_within
from tocsin.web.api.shapes import (
    AlertCounts,
    AlertRow,
    CheckCounts,
    ChecklistItem,
    Engine,
    OnCallNow,
    Overview,
    Scoped,
    ServiceRow,
)
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission

_METRICS_FOR_MS = 5_000
_ANSWER_FOR_MS = 2_000
_SILENT_MS = 60_000
_SCOPES = 16
"""So many scopes are remembered, those asked for last."""


@dataclass(slots=True)
class _Kept:
    """The answer of one scope, and what it was made of, for a moment."""

    scope: Scope
    cursor: int = -1
    until_ms: int = 0
    body: bytes = b""
    metrics: MetricsView = field(default_factory=MetricsView)
    metrics_ms: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class OverviewPage:
    """Handler of `/overview`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._whole = _Kept(EVERYTHING)
        self._scopes: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()
        self._names = LabelNames(desk.parts.reader)

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [Endpoint(prefix + "/overview", self.show, permission=Permission.VIEWER, answer=Overview)]

    async def show(self, request: Request) -> Response:
        """The home screen; `scope` (`env=prod`, repeated) = of what these matchers mean, `at` = as it was then."""
        now_ms, scope = self._desk.now_ms(), scope_of(request)
        if is_past(request):
            return await json_answer(request, await self._then(scope, moment_of(request, now_ms), now_ms))
        kept = self._of(scope)
        async with kept.lock:
            cursor = self._desk.hub.cursor
            if kept.cursor != cursor or now_ms >= kept.until_ms:
                kept.body = dumps(await self._compute(kept, now_ms, cursor))
                kept.cursor, kept.until_ms = cursor, now_ms + _ANSWER_FOR_MS
            body = kept.body
        return await bytes_answer(request, body)

    def _of(self, scope: Scope) -> _Kept:
        if not scope:
            return self._whole
        kept = self._scopes.setdefault(scope.said, _Kept(scope))
        self._scopes.move_to_end(scope.said)
        if len(self._scopes) > _SCOPES:
            self._scopes.popitem(last=False)
        return kept

    async def _compute(self, kept: _Kept, now_ms: int, cursor: int) -> Overview:
        state, scope = self._desk.state, kept.scope
        # The core is asked for all of it at once, while a thread asks the store.
        specs, config, duty, engine, metrics, directory = await asyncio.gather(
            state.try_ask("check.list", [], moved=True),
            state.try_ask("config.state", {}),
            state.try_ask("oncall.state", {}),
            self.engine(),
            self._fresh_metrics(kept, now_ms),
            directory_of(self._desk),
        )
        rows = await self._desk.parts.database.read(lambda tx: Rows.read(tx, specs, directory, scope, now_ms))
        oncall = [
            OnCallNow(item.get("schedule", item.get("name", "")), item.get("who", ()), int(item.get("until_ms", 0)))
            for item in duty.get("schedules", ())
        ]
        # The first steps are those of the whole installation.
        checklist = [] if scope else _checklist(rows, config, bool(duty.get("schedules")), bool(metrics.services))
        return self._overview(
            scope, rows, metrics, config, now_ms, cursor=cursor, engine=engine, judged=engine, oncall=oncall, checklist=checklist
        )

    async def _then(self, scope: Scope, at_ms: int, now_ms: int) -> Overview:
        """The home screen at a past moment, with today's names of checks, rules and people. `now_ms` stays the clock's."""
        state = self._desk.state
        specs: Sequence[Mapping[str, Any]] = await state.try_ask("check.list", [])
        config: Mapping[str, Any] = await state.try_ask("config.state", {})
        directory = await directory_of(self._desk)
        metrics = await self._metrics(scope, LabelNames(self._names.reader), at_ms)
        rows = await self._desk.parts.database.read(lambda tx: Rows.at(tx, specs, directory, scope, at_ms))
        working = Engine(ok=True, last_evaluation_ms=at_ms, last_sample_ms=at_ms, core_started_ms=0, lag_ms=0)
        engine, cursor = await self.engine(), self._desk.hub.cursor
        return self._overview(scope, rows, metrics, config, now_ms, cursor=cursor, engine=engine, judged=working)

    def _overview(
        self,
        scope: Scope,
        rows: Rows,
        metrics: MetricsView,
        config: Mapping[str, Any],
        now_ms: int,
        *,
        cursor: int,
        engine: Engine,
        judged: Engine,
        oncall: Sequence[OnCallNow] = (),
        checklist: Sequence[ChecklistItem] = (),
    ) -> Overview:
        """`judged`: the engine as it was when this was so."""
        severities = self._desk.settings.severities
        services = service_rows(rows.checks, rows.alerts, metrics, config.get("services", {}), severities)
        if scope:
            services = services_within(scope, services, metrics.services)
        return Overview(
            now_ms=now_ms,
            cursor=cursor,
            sentence=sentence(judged, rows.incidents, rows.alerts, rows.checks, services, oncall, severities),
            engine=engine,
            incidents=rows.incidents,
            alerts=_alert_counts(rows.alerts),
            checks=_check_counts(rows),
            services=services,
            hosts=metrics.hosts,
            kpis=metrics.kpis,
            oncall=oncall,
            changes=rows.changes,
            checklist=checklist,
            scope=Scoped(scope.said, metrics.unscoped) if scope else None,
        )

    async def engine(self) -> Engine:
        """Whether the machine behind the numbers works; nothing may look green when it does not."""
        status: Mapping[str, Any] = await self._desk.state.try_ask("status.brief", {})
        now_ms, heard_ms = self._desk.now_ms(), self._desk.hub.heard_ms
        evaluated_ms = int(status.get("last_evaluation_ms", 0))
        lag_ms = self._desk.parts.lag_ms()
        alive = bool(status) and now_ms - heard_ms < 15_000
        return Engine(
            ok=alive and lag_ms < _SILENT_MS and (not evaluated_ms or now_ms - evaluated_ms < 2 * _SILENT_MS),
            last_evaluation_ms=evaluated_ms,
            last_sample_ms=int(status.get("last_sample_ms", 0)),
            core_started_ms=int(status.get("started_ms", 0)),
            lag_ms=lag_ms,
            unwritten=str(status.get("store", {}).get("unwritten", "")),
        )

    async def _fresh_metrics(self, kept: _Kept, now_ms: int) -> MetricsView:
        if now_ms - kept.metrics_ms >= _METRICS_FOR_MS:
            kept.metrics = await self._metrics(kept.scope, self._names, now_ms)
            kept.metrics_ms = now_ms
        return kept.metrics

    async def _metrics(self, scope: Scope, names: LabelNames, at_ms: int) -> MetricsView:
        engine = self._desk.parts.engine
        narrowing = Narrowing(scope, lambda metric: names.of(metric, at_ms)) if scope else None
        return await self._desk.queries.together(lambda: read_metrics(engine, at_ms, narrowing))


_WATCHDOG = "none"
"""Severity of what is told to nobody because it always fires."""


def _check_counts(rows: Rows) -> CheckCounts:
    return CheckCounts(counts=Counter(check.state for check in rows.checks), problems=rows.problems)


def _alert_counts(rows: Sequence[AlertRow]) -> AlertCounts:
    told = [row for row in rows if row.state != "pending" and not row.suppressed_by and row.severity != _WATCHDOG]
    return AlertCounts(
        firing=Counter(row.severity or "none" for row in told),
        pending=sum(row.state == "pending" for row in rows),
        suppressed=sum(bool(row.suppressed_by) for row in rows),
    )


def sentence(
    engine: Engine,
    incidents: Sequence[Mapping[str, Any]],
    alerts: Sequence[AlertRow],
    checks: Sequence[Judged],
    services: Sequence[ServiceRow],
    oncall: Sequence[OnCallNow],
    severities: Sequence[str],
) -> str:
    """The first thing a person reads: "1 critical, 2 warning. 38 of 41 services healthy. On call: Ana."."""
    if not engine.ok:
        return "Tocsin's own engine is not answering: what you see is old."
    parts = []
    firing = Counter(
        row.severity for row in alerts if row.state != "pending" and not row.suppressed_by and row.severity != _WATCHDOG
    )
    ordered = [f"{firing[name]} {name}" for name in reversed(severities) if firing[name]]
    if ordered:
        parts.append(f"{', '.join(ordered)} {'alert' if sum(firing.values()) == 1 else 'alerts'}.")
    elif incidents:
        parts.append(f"{len(incidents)} open {'incident' if len(incidents) == 1 else 'incidents'}, nothing firing.")
    else:
        parts.append("Nothing is firing.")
    judged = [row for row in checks if row.state != CheckState.PAUSED]
    if judged:
        up = sum(row.state == CheckState.UP for row in judged)
        parts.append(f"{up} of {len(judged)} checks up.")
    if services:
        healthy = sum(row.state == "ok" for row in services)
        parts.append(f"{healthy} of {len(services)} services healthy.")
    who = sorted({name for item in oncall for name in item.who})
    if who:
        parts.append(f"On call: {', '.join(who)}.")
    return " ".join(parts)


def _checklist(rows: Rows, config: Mapping[str, Any], has_schedule: bool, measured: bool) -> list[ChecklistItem]:
    """The first five minutes; empty once dismissed or done. `measured`: some service tells of its requests."""
    if rows.dismissed:
        return []
    items = [
        ChecklistItem("watch", "Watch a URL", rows.watched),
        ChecklistItem("scrape", "Scrape a service's metrics", bool(config.get("scrape_jobs"))),
        ChecklistItem("middleware", "Measure requests: three lines for FastAPI, Django, Flask", measured),
        ChecklistItem("page", "Choose where alerts go", not config.get("nobody_paged", True)),
        ChecklistItem("oncall", "Make yourself on call", has_schedule),
        ChecklistItem("break", "Break it: see a page from end to end", rows.broken),
    ]
    return [] if all(item.done for item in items) else items
