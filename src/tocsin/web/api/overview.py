"""What is wrong, since when, who has it: one answer for the home screen, cheap enough for a wall of browsers.

Metrics come from one thread that asks the follower a dozen queries every few seconds at most; rows come from one read
transaction; the answer is kept for as long as the cursor stands still and a moment beyond.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.incidents.people import Directory
from tocsin.model.check import CheckState
from tocsin.state.schema import declared_checks, events, meta
from tocsin.web.answers import bytes_answer, dumps, json_answer
from tocsin.web.api import past
from tocsin.web.api.alert_rows import RuleIndex, alert_rows, alerts_at
from tocsin.web.api.check_lines import check_rows, standings
from tocsin.web.api.check_shapes import CheckRow
from tocsin.web.api.incidents import directory_of, open_incidents
from tocsin.web.api.metrics_view import MetricsView, read_metrics
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.services import Judged, service_rows
from tocsin.web.api.shapes import (
    AlertCounts,
    AlertRow,
    ChangeRow,
    CheckCounts,
    ChecklistItem,
    Engine,
    OnCallNow,
    Overview,
    ServiceRow,
)
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission

_METRICS_FOR_MS = 5_000
_ANSWER_FOR_MS = 2_000
_CHANGES = 20
_SILENT_MS = 60_000
_CHANGE_VERBS = (
    "config_loaded", "config_refused", "silenced", "silence_expired", "marked", "check_added", "check_removed", "check_paused",
    "check_resumed", "override_added", "override_removed", "imported", "import_removed",
)  # fmt: skip
_PROBLEMS = (CheckState.DOWN, CheckState.DEGRADED, CheckState.UNKNOWN)
_DRILL = "check:break-it-drill"
"""What the dashboard's "Break it" adds and removes (ui/src/lib/drill.ts)."""
_NO_RULES = RuleIndex({}, {})
"""Alerts are only counted here: which rule they came of is not asked for."""


@dataclass(slots=True)
class _Kept:
    key: tuple[int, ...]
    until_ms: int
    body: bytes


class OverviewPage:
    """Handler of `/overview`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: _Kept | None = None
        self._metrics = MetricsView()
        self._metrics_ms = 0
        self._lock = asyncio.Lock()

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [Endpoint(prefix + "/overview", self.show, permission=Permission.VIEWER, answer=Overview)]

    async def show(self, request: Request) -> Response:
        """The home screen; `at` = as it was then."""
        now_ms = self._desk.now_ms()
        if is_past(request):
            return await json_answer(request, await self._then(moment_of(request, now_ms), now_ms))
        async with self._lock:
            cursor = self._desk.hub.cursor
            kept = self._kept
            if kept is None or kept.key != (cursor,) or now_ms >= kept.until_ms:
                body = dumps(await self._compute(now_ms, cursor))
                kept = self._kept = _Kept((cursor,), now_ms + _ANSWER_FOR_MS, body)
        return await bytes_answer(request, kept.body)

    async def _compute(self, now_ms: int, cursor: int) -> Overview:
        state = self._desk.state
        # The core is asked for all of it at once, while a thread asks the store.
        specs, config, duty, engine, metrics, directory = await asyncio.gather(
            state.try_ask("check.list", [], moved=True),
            state.try_ask("config.state", {}),
            state.try_ask("oncall.state", {}),
            self.engine(),
            self._fresh_metrics(now_ms),
            directory_of(self._desk),
        )
        severities = self._desk.settings.severities
        rows = await self._desk.parts.database.read(lambda tx: _Rows.read(tx, specs, directory, now_ms))
        oncall = [
            OnCallNow(item.get("schedule", item.get("name", "")), item.get("who", ()), int(item.get("until_ms", 0)))
            for item in duty.get("schedules", ())
        ]
        services = service_rows(rows.checks, rows.alerts, metrics, config.get("services", {}), severities)
        return Overview(
            now_ms=now_ms,
            cursor=cursor,
            sentence=sentence(engine, rows.incidents, rows.alerts, rows.checks, services, oncall, severities),
            engine=engine,
            incidents=rows.incidents,
            alerts=_alert_counts(rows.alerts),
            checks=_check_counts(rows),
            services=services,
            hosts=metrics.hosts,
            kpis=metrics.kpis,
            oncall=oncall,
            changes=rows.changes,
            checklist=_checklist(rows, config, bool(duty.get("schedules")), bool(metrics.services)),
        )

    async def _then(self, at_ms: int, now_ms: int) -> Overview:
        """The home screen at a past moment, with today's names of checks, rules and people. `now_ms` stays the clock's."""
        state = self._desk.state
        specs: Sequence[Mapping[str, Any]] = await state.try_ask("check.list", [])
        config: Mapping[str, Any] = await state.try_ask("config.state", {})
        severities, directory = self._desk.settings.severities, await directory_of(self._desk)
        engine = self._desk.parts.engine
        metrics = await self._desk.queries.together(lambda: read_metrics(engine, at_ms))
        rows = await self._desk.parts.database.read(lambda tx: _Rows.at(tx, specs, directory, at_ms))
        services = service_rows(rows.checks, rows.alerts, metrics, config.get("services", {}), severities)
        working = Engine(ok=True, last_evaluation_ms=at_ms, last_sample_ms=at_ms, core_started_ms=0, lag_ms=0)
        return Overview(
            now_ms=now_ms,
            cursor=self._desk.hub.cursor,
            sentence=sentence(working, rows.incidents, rows.alerts, rows.checks, services, [], severities),
            engine=await self.engine(),
            incidents=rows.incidents,
            alerts=_alert_counts(rows.alerts),
            checks=_check_counts(rows),
            services=services,
            hosts=metrics.hosts,
            kpis=metrics.kpis,
            oncall=[],
            changes=rows.changes,
            checklist=[],
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

    async def _fresh_metrics(self, now_ms: int) -> MetricsView:
        if now_ms - self._metrics_ms >= _METRICS_FOR_MS:
            engine = self._desk.parts.engine
            self._metrics = await self._desk.queries.together(lambda: read_metrics(engine, now_ms))
            self._metrics_ms = now_ms
        return self._metrics


@dataclass(frozen=True, slots=True)
class _Rows:
    """What one read transaction sees."""

    checks: Sequence[Judged]
    problems: Sequence[CheckRow]
    """Of those checks that are not well."""
    alerts: Sequence[AlertRow]
    incidents: Sequence[Mapping[str, Any]]
    changes: Sequence[ChangeRow]
    added_checks: int
    broken: bool
    """Somebody has tried what a page is like."""
    dismissed: bool

    @classmethod
    def read(cls, tx: Connection, specs: Sequence[Mapping[str, Any]], directory: Directory, now_ms: int) -> _Rows:
        checks = standings(tx, specs)
        troubled = [spec for spec, check in zip(specs, checks, strict=True) if check.state in _PROBLEMS]
        return cls(
            checks=checks,
            problems=check_rows(tx, troubled, now_ms),
            alerts=alert_rows(tx, {"firing", "clearing", "pending"}, _NO_RULES, now_ms),
            incidents=open_incidents(tx, directory),
            changes=_changes(tx, now_ms),
            added_checks=tx.execute(sa.select(sa.func.count()).select_from(declared_checks)).scalar() or 0,
            broken=tx.execute(sa.select(events.c.id).where(events.c.subject == _DRILL).limit(1)).first() is not None,
            dismissed=tx.execute(sa.select(meta.c.value).where(meta.c.key == "checklist")).scalar() == "dismissed",
        )

    @classmethod
    def at(cls, tx: Connection, specs: Sequence[Mapping[str, Any]], directory: Directory, at_ms: int) -> _Rows:
        checks = past.checks_at(tx, specs, at_ms)
        return cls(
            checks=checks,
            problems=[row for row in checks if row.state in _PROBLEMS],
            alerts=alerts_at(tx, _NO_RULES, at_ms),
            incidents=past.incidents_at(tx, directory, at_ms),
            changes=_changes(tx, at_ms),
            added_checks=0,
            broken=False,
            dismissed=True,
        )


_WATCHDOG = "none"
"""Severity of what is told to nobody because it always fires."""


def _changes(tx: Connection, until_ms: int) -> list[ChangeRow]:
    query = sa.select(events).where(events.c.verb.in_(_CHANGE_VERBS), events.c.t_ms <= until_ms)
    found = tx.execute(query.order_by(events.c.id.desc()).limit(_CHANGES))
    return [ChangeRow(row.t_ms, row.actor, row.text, row.subject) for row in found]


def _check_counts(rows: _Rows) -> CheckCounts:
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


def _checklist(rows: _Rows, config: Mapping[str, Any], has_schedule: bool, measured: bool) -> list[ChecklistItem]:
    """The first five minutes; empty once dismissed or done. `measured`: some service tells of its requests."""
    if rows.dismissed:
        return []
    items = [
        ChecklistItem("watch", "Watch a URL", bool(rows.checks) or rows.added_checks > 0),
        ChecklistItem("scrape", "Scrape a service's metrics", bool(config.get("scrape_jobs"))),
        ChecklistItem("middleware", "Measure requests: three lines for FastAPI, Django, Flask", measured),
        ChecklistItem("page", "Choose where alerts go", not config.get("nobody_paged", True)),
        ChecklistItem("oncall", "Make yourself on call", has_schedule),
        ChecklistItem("break", "Break it: see a page from end to end", rows.broken),
    ]
    return [] if all(item.done for item in items) else items
