"""Planned work: windows of the configuration and of the dashboard; which hold now, what they cover, when the next ones begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.formats.routing_json import routing_from_json, window_from_json
from tocsin.model.event import SYSTEM
from tocsin.model.labels import Labels, all_match
from tocsin.model.recurrence import Occurrences
from tocsin.model.route import MaintenanceWindow
from tocsin.state.schema import alerts, declared_maintenance
from tocsin.web.answers import json_answer
from tocsin.web.api.alert_rows import preview
from tocsin.web.api.alerts import Alerts
from tocsin.web.api.moment import moment_of
from tocsin.web.api.rows import cut
from tocsin.web.api.shapes import AlertRow
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.match import thing_answer, version_of
from tocsin.web.problem import Refused

_DAY_MS = 86_400_000
_AHEAD_MS = 400 * _DAY_MS
_SHOWN = 6


class WindowBody(Body):
    """An entry of `maintenance` as it would stand in the configuration; docs/reference/configuration.md has the fields."""

    name: str = pydantic.Field(max_length=200)
    matchers: list[str] = pydantic.Field(max_length=50)
    start: str = pydantic.Field(max_length=40)
    """Local time of the first occurrence: 2026-11-22 22:00."""
    end: str | None = pydantic.Field(None, max_length=40)
    """Its local end; or give `duration`."""
    duration: str | None = pydantic.Field(None, max_length=40)
    rrule: str | None = pydantic.Field(None, max_length=500)
    """Such as FREQ=WEEKLY;BYDAY=SU; left out = once."""
    time_zone: str = pydantic.Field("UTC", max_length=100)
    comment: str = pydantic.Field("", max_length=1000)
    """Why, for colleagues; must say something in what is planned here."""
    public: str = pydantic.Field("", max_length=1000)
    """What status pages say of it."""


class PreviewWindow(Body):
    window: WindowBody
    id: str = ""
    """Of the window that is being changed."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class MaintenanceRow:
    id: str
    """Empty = it stands in the configuration file, and is changed there."""
    name: str
    matchers: Sequence[str]
    comment: str
    public: str
    time_zone: str
    recurring: bool
    duration_ms: int
    active: bool
    start_ms: int
    """Of the occurrence that holds, else of the next within a year; 0 = none."""
    end_ms: int
    upcoming: Sequence[Occurrence]
    """The one that holds and the next ones."""
    matching_now: int
    """Firing alerts that it would hold back."""
    created_by: str
    window: Mapping[str, Any]
    """As it was typed; empty for one of the file."""
    etag: str


@dataclass(frozen=True, slots=True)
class MaintenanceList:
    now_ms: int
    cursor: int
    windows: Sequence[MaintenanceRow]
    next: str


@dataclass(frozen=True, slots=True)
class MaintenancePreview:
    upcoming: Sequence[Occurrence]
    now: Sequence[AlertRow]
    last_7d: int
    checks: Sequence[str]
    """Checks whose own alerts it would hold back."""


class Maintenance:
    """Handlers of `/maintenance`."""

    def __init__(self, desk: Desk, alerts_api: Alerts) -> None:
        self._desk = desk
        self._alerts = alerts_api

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, responder, path = Permission.VIEWER, Permission.RESPONDER, prefix + "/maintenance"
        one, mark = path + "/{id}", self._mark
        body, row = WindowBody, MaintenanceRow
        return [
            Endpoint(path, self.list, permission=viewer, answer=MaintenanceList),
            Endpoint(path, self.plan, methods=["POST"], permission=responder, body=body, answer=row, status=201),
            Endpoint(
                path + "/preview",
                self.preview,
                methods=["POST"],
                permission=viewer,
                body=PreviewWindow,
                answer=MaintenancePreview,
            ),
            Endpoint(one, self.one, permission=viewer, answer=row),
            Endpoint(one, self.change, methods=["PUT"], permission=responder, body=body, answer=row, mark=mark),
            Endpoint(one, self.remove, methods=["DELETE"], permission=responder, status=204, mark=mark),
            Endpoint(one + "/end", self.end, methods=["POST"], permission=responder, answer=row, mark=mark),
        ]

    async def list(self, request: Request) -> Response:
        """Planned work: windows that hold first, then the next to begin."""
        now_ms = self._desk.now_ms()
        rows, following = cut(await self._rows(moment_of(request, now_ms)), request.query_params, _order)
        return await json_answer(request, MaintenanceList(now_ms, self._desk.hub.cursor, rows, following))

    async def one(self, request: Request) -> Response:
        """One window."""
        row = await self._row(request.path_params["id"])
        return await thing_answer(request, row, row.etag)

    async def plan(self, request: Request) -> Response:
        """Plan work: alerts that match are recorded and nobody is told, while it lasts."""
        made = await self._set(request)
        row = await self._row(made["id"])
        return await thing_answer(request, row, row.etag, status=201)

    async def change(self, request: Request) -> Response:
        """Another text for a window of the dashboard."""
        await self._set(request, id=request.path_params["id"])
        return await self.one(request)

    async def remove(self, request: Request) -> Response:
        """Remove a window of the dashboard with all its occurrences."""
        await self._command(request, "maintenance.remove")
        return Response(status_code=204)

    async def end(self, request: Request) -> Response:
        """The occurrence that holds is over now; what still fires is told at once."""
        await self._command(request, "maintenance.end")
        return await self.one(request)

    async def preview(self, request: Request) -> Response:
        """When a window would hold next, and what it would hold back now."""
        body = await read_body(request, PreviewWindow)
        args = {"window": body.window.model_dump(exclude_none=True), "id": body.id}
        read = await self._desk.parts.core.command("maintenance.preview", args, actor_of(request))
        window, now_ms = window_from_json(read["window"]), self._desk.now_ms()
        rules = await self._alerts.rules()
        now, week = await self._desk.parts.database.read(lambda tx: preview(tx, window.matchers, rules, now_ms))
        answer = MaintenancePreview(upcoming(window.occurrences, now_ms), now, week, read["checks"])
        return await json_answer(request, answer)

    async def _set(self, request: Request, **more: str) -> Any:
        body = await read_body(request, WindowBody)
        if not body.comment.strip():
            raise Refused(400, "bad_body", "comment: say why, whoever is on call will read it")
        args = {"window": body.model_dump(exclude_none=True), **more, **(version_of(request) if more else {})}
        return await self._desk.parts.core.command("maintenance.set", args, actor_of(request))

    async def _command(self, request: Request, name: str) -> None:
        args = {"id": request.path_params["id"], **version_of(request)}
        await self._desk.parts.core.command(name, args, actor_of(request))

    async def _mark(self, request: Request) -> str | None:
        id_ = request.path_params["id"]
        query = sa.select(declared_maintenance.c.version).where(declared_maintenance.c.id == id_)
        version = await self._desk.parts.database.read(lambda tx: tx.execute(query).scalar())
        return None if version is None else str(version)

    async def _row(self, id_: str) -> MaintenanceRow:
        found = [row for row in await self._rows(self._desk.now_ms()) if row.id == id_ and id_]
        if not found:
            raise Refused(404, "no_such_window", "there is no such window; one of the file has no address of its own")
        return found[0]

    async def _rows(self, at_ms: int) -> Sequence[MaintenanceRow]:
        answer = await self._desk.parts.core.command("alerts.routing", {}, SYSTEM)
        windows = routing_from_json(answer["routing"]).maintenance
        return await self._desk.parts.database.read(lambda tx: _rows(tx, windows, at_ms))


def _rows(tx: Connection, windows: Sequence[MaintenanceWindow], at_ms: int) -> list[MaintenanceRow]:
    firing = []
    if windows:
        still = sa.or_(alerts.c.ends_at_ms == 0, alerts.c.ends_at_ms > at_ms)
        firing = [Labels(labels) for labels in tx.execute(sa.select(alerts.c.labels).where(still)).scalars()]
    typed = {row.id: row for row in tx.execute(sa.select(declared_maintenance))}
    return [row_of(window, at_ms, firing, typed.get(window.id)) for window in windows]


def row_of(window: MaintenanceWindow, at_ms: int, firing: Sequence[Labels] = (), typed: Any = None) -> MaintenanceRow:
    """`typed`: the row of the dashboard's table; None for a window of the file."""
    when = window.occurrences
    found = upcoming(when, at_ms)
    held = when.holding(at_ms)
    first = held or ((found[0].start_ms, found[0].end_ms) if found else (0, 0))
    return MaintenanceRow(
        id=window.id,
        name=window.name,
        matchers=[str(matcher) for matcher in window.matchers],
        comment=window.comment,
        public=window.public,
        time_zone=when.time_zone,
        recurring=when.rule is not None,
        duration_ms=when.duration_ms,
        active=held is not None,
        start_ms=first[0],
        end_ms=first[1],
        upcoming=found,
        matching_now=sum(all_match(window.matchers, labels) for labels in firing),
        created_by=typed.created_by if typed is not None else "",
        window=typed.spec["window"] if typed is not None else {},
        etag=str(typed.version) if typed is not None else "",
    )


def upcoming(when: Occurrences, at_ms: int) -> list[Occurrence]:
    """The occurrence that holds and the next ones, some few, within a good year."""
    found: list[tuple[int, int]] = []
    from_ms, span_ms = at_ms, 14 * _DAY_MS
    while len(found) < _SHOWN and from_ms < at_ms + _AHEAD_MS:
        found += [one for one in when.between(from_ms, from_ms + span_ms) if one not in found]
        from_ms, span_ms = from_ms + span_ms, span_ms * 2
    return [Occurrence(*one) for one in found[:_SHOWN]]


def _order(row: MaintenanceRow) -> tuple[bool, int, str, str]:
    return (not row.active, row.start_ms or 1 << 60, row.name, row.id)
