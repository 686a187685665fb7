"""The catalogue of services, one service with everything that speaks of it, and what changed around it.

As the overview's, the figures come from one thread, a few queries for all services together, and are kept for a moment: many
browsers and many services ask the store once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.incidents import why as reads
from tocsin.incidents.people import Directory
from tocsin.state.schema import incidents
from tocsin.web.answers import json_answer
from tocsin.web.api import past
from tocsin.web.api.alert_rows import RuleIndex, alert_rows, alerts_at
from tocsin.web.api.check_lines import check_rows, standings
from tocsin.web.api.check_shapes import CheckRow
from tocsin.web.api.incidents import directory_of
from tocsin.web.api.metrics_view import MetricsView
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.paging import page_of
from tocsin.web.api.rows import cut
from tocsin.web.api.service_changes import changes_of, last_changes
from tocsin.web.api.service_figures import NOTHING, Figures, FiguresOfAll, read_figures
from tocsin.web.api.service_shapes import (
    ServiceChange,
    ServiceChanges,
    ServiceDetail,
    ServiceLine,
    ServiceLink,
    ServiceList,
)
from tocsin.web.api.services import Judged, service_rows
from tocsin.web.api.shapes import AlertRow, ServiceRow
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission

_FIGURES_FOR_MS = 5_000
_LINES_FOR_MS = 2_000
_INCIDENTS = 20
_RANK = {"critical": 0, "warning": 1, "unknown": 2, "ok": 3}
_NO_RULES = RuleIndex({}, {})
_OPEN_ALERTS = {"firing", "clearing", "pending"}


@dataclass(frozen=True, slots=True)
class _Kept:
    key: tuple[int, ...]
    until_ms: int
    lines: Sequence[ServiceLine]


class ServicePages:
    """Handlers of `/services`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: _Kept | None = None
        self._figures = NOTHING
        self._figures_ms = 0
        self._lock = asyncio.Lock()

    def endpoints(self, prefix: str) -> list[Endpoint]:
        # `path`: a service may be called by a path, `team/checkout`.
        viewer, one = Permission.VIEWER, prefix + "/services/{name:path}"
        return [
            Endpoint(prefix + "/services", self.list, permission=viewer, answer=ServiceList),
            Endpoint(one + "/changes", self.changes, permission=viewer, answer=ServiceChanges),
            Endpoint(one, self.one, permission=viewer, answer=ServiceDetail),
        ]

    async def list(self, request: Request) -> Response:
        """Every service with its figures, the worst first; `at` = as they were then."""
        now_ms = self._desk.now_ms()
        lines = await self._lines(request, now_ms)
        page, following = cut(lines, request.query_params, lambda row: (_RANK[row.state], row.since_ms or 1 << 60, row.name))
        return await json_answer(request, ServiceList(now_ms, self._desk.hub.cursor, page, following))

    async def one(self, request: Request) -> Response:
        """One service: figures, neighbours, checks, alerts and incidents; `at` = as it was then.

        A name that nothing speaks of (yet, or any more) is answered with `known` false: services are not made, only named.
        """
        name, now_ms = request.path_params["name"], self._desk.now_ms()
        at_ms = moment_of(request, now_ms)
        lines = {line.name: line for line in await self._lines(request, now_ms)}
        specs: list[dict[str, Any]] = await self._desk.state.try_ask("check.list", [])
        own = [spec for spec in specs if spec.get("labels", {}).get("service") == name]
        directory = await directory_of(self._desk)
        rules = RuleIndex.of(await self._desk.state.try_ask("rules.state", {}))
        read = _evidence_at if is_past(request) else _evidence
        found = await self._desk.parts.database.read(lambda tx: read(tx, name, own, rules, directory, at_ms))
        checks, alerts, incident_list = found
        line = lines.get(name) or _line(_unknown(name), Figures(), {}, None)
        answer = ServiceDetail(
            **{field: getattr(line, field) for field in ServiceLine.__dataclass_fields__},
            known=name in lines,
            dependencies=[_link(other, lines) for other in line.depends_on],
            callers=[_link(other.name, lines) for other in lines.values() if name in other.depends_on],
            check_rows=checks,
            alert_rows=alerts,
            incidents=incident_list,
            now_ms=now_ms,
            cursor=self._desk.hub.cursor,
        )
        return await json_answer(request, answer)

    async def changes(self, request: Request) -> Response:
        """Deploys, configuration, checks and silences of a service, newest first, in pages; `at` = up to then."""
        name, until_ms = request.path_params["name"], moment_of(request, self._desk.now_ms())
        specs: Sequence[Mapping[str, Any]] = await self._desk.state.try_ask("check.list", [])
        checks = {spec["id"] for spec in specs if spec.get("labels", {}).get("service") == name}
        page = page_of(request.query_params)
        found, following = await self._desk.parts.database.read(lambda tx: changes_of(tx, name, checks, until_ms, page))
        return await json_answer(request, ServiceChanges(found, following))

    # -- the lines of all services -----------------------------------------------------------------------------------

    async def _lines(self, request: Request, now_ms: int) -> Sequence[ServiceLine]:
        if is_past(request):
            at_ms, engine = moment_of(request, now_ms), self._desk.parts.engine
            figures = await self._desk.queries.together(lambda: read_figures(engine, at_ms))
            return await self._compute(figures, at_ms, then=True)
        async with self._lock:
            key = (self._desk.hub.cursor,)
            kept = self._kept
            if kept is None or kept.key != key or now_ms >= kept.until_ms:
                lines = await self._compute(await self._fresh_figures(now_ms), now_ms, then=False)
                kept = self._kept = _Kept(key, now_ms + _LINES_FOR_MS, lines)
        return kept.lines

    async def _fresh_figures(self, now_ms: int) -> FiguresOfAll:
        if now_ms - self._figures_ms >= _FIGURES_FOR_MS:
            engine = self._desk.parts.engine
            self._figures = await self._desk.queries.together(lambda: read_figures(engine, now_ms))
            self._figures_ms = now_ms
        return self._figures

    async def _compute(self, figures: FiguresOfAll, at_ms: int, *, then: bool) -> Sequence[ServiceLine]:
        state = self._desk.state
        specs: Sequence[Mapping[str, Any]] = await state.try_ask("check.list", [], moved=True)
        config: Mapping[str, Any] = await state.try_ask("config.state", {})
        declared: Mapping[str, Mapping[str, Any]] = config.get("services", {})

        def read(tx: Connection) -> tuple[Sequence[Judged], Sequence[AlertRow], Mapping[str, ServiceChange]]:
            checks: Sequence[Judged] = past.checks_at(tx, specs, at_ms) if then else standings(tx, specs)
            alerts = alerts_at(tx, _NO_RULES, at_ms) if then else alert_rows(tx, {"firing", "clearing"}, _NO_RULES, at_ms)
            return checks, alerts, last_changes(tx, at_ms)

        checks, alerts, changed = await self._desk.parts.database.read(read)
        rows = service_rows(checks, alerts, MetricsView(services=figures.metrics), declared, self._desk.settings.severities)
        more = figures.figures
        return [_line(row, more.get(row.name, Figures()), declared.get(row.name, {}), changed.get(row.name)) for row in rows]


def _line(row: ServiceRow, figures: Figures, declared: Mapping[str, Any], changed: ServiceChange | None) -> ServiceLine:
    return ServiceLine(
        **{field: getattr(row, field) for field in ServiceRow.__dataclass_fields__},
        client_error_ratio=figures.client_error_ratio,
        p50_s=figures.p50_s,
        p99_s=figures.p99_s,
        saturation=figures.saturation,
        saturated=figures.saturated,
        depends_on=tuple(declared.get("depends_on", ())),
        last_change=changed,
    )


def _unknown(name: str) -> ServiceRow:
    return ServiceRow(name, "unknown", 0, None, None, None, {}, 0, (), "")


def _link(name: str, lines: Mapping[str, ServiceLine]) -> ServiceLink:
    line = lines.get(name)
    if line is None:
        return ServiceLink(name, "unknown", 0, 0, False)
    return ServiceLink(name, line.state, line.since_ms, line.alerts, True)


# -- what speaks of one service --------------------------------------------------------------------------------------

_Evidence = tuple[Sequence[CheckRow], Sequence[AlertRow], Sequence[Mapping[str, Any]]]


def _evidence(
    tx: Connection, name: str, specs: Sequence[Mapping[str, Any]], rules: RuleIndex, directory: Directory, now_ms: int
) -> _Evidence:
    alerts = [row for row in alert_rows(tx, _OPEN_ALERTS, rules, now_ms) if row.labels.get("service") == name]
    c = incidents.c
    own = sa.select(c.number).where(c.service == name, c.listed, c.state != "merged").order_by(c.number.desc()).limit(_INCIDENTS)
    rows = [reads.incident_row(tx, number, directory) for number in tx.execute(own).scalars().all()]
    return check_rows(tx, specs, now_ms), alerts, [row for row in rows if row is not None]


def _evidence_at(
    tx: Connection, name: str, specs: Sequence[Mapping[str, Any]], rules: RuleIndex, directory: Directory, at_ms: int
) -> _Evidence:
    alerts = [row for row in alerts_at(tx, rules, at_ms) if row.labels.get("service") == name]
    rows = [row for row in past.incidents_at(tx, directory, at_ms, state="all") if row["service"] == name]
    return past.checks_at(tx, specs, at_ms), alerts, rows[:_INCIDENTS]
