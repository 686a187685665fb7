"""Maintenance windows of the configuration: which hold now, and when the next ones begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from tocsin.formats.routing_json import routing_from_json
from tocsin.model.event import SYSTEM
from tocsin.model.route import MaintenanceWindow
from tocsin.web.answers import json_answer
from tocsin.web.api.moment import moment_of
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission

_HOUR_MS = 3_600_000
_DAYS_AHEAD = 400


@dataclass(frozen=True, slots=True)
class MaintenanceRow:
    name: str
    matchers: Sequence[str]
    comment: str
    time_zone: str
    recurring: bool
    duration_ms: int
    active: bool
    start_ms: int
    """Of the occurrence that holds, else of the next within a year; 0 = none."""
    end_ms: int


@dataclass(frozen=True, slots=True)
class MaintenanceList:
    now_ms: int
    windows: Sequence[MaintenanceRow]


class Maintenance:
    """Handler of `/maintenance`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [Endpoint(prefix + "/maintenance", self.list, permission=Permission.VIEWER, answer=MaintenanceList)]

    async def list(self, request: Request) -> Response:
        """Planned work of the configuration: those that hold first, then the next to begin."""
        now_ms = self._desk.now_ms()
        at_ms = moment_of(request, now_ms)
        answer = await self._desk.parts.core.command("alerts.routing", {}, SYSTEM)
        windows = routing_from_json(answer["routing"]).maintenance
        rows = [row_of(window, at_ms) for window in windows]
        rows.sort(key=lambda row: (not row.active, row.start_ms or 1 << 60, row.name))
        return await json_answer(request, MaintenanceList(now_ms, rows))


def row_of(window: MaintenanceWindow, at_ms: int) -> MaintenanceRow:
    when = window.occurrences
    held = when.holding(at_ms)
    found = held or _next(window, at_ms)
    return MaintenanceRow(
        name=window.name,
        matchers=[str(matcher) for matcher in window.matchers],
        comment=window.comment,
        time_zone=when.time_zone,
        recurring=when.rule is not None,
        duration_ms=when.duration_ms,
        active=held is not None,
        start_ms=found[0] if found else 0,
        end_ms=found[1] if found else 0,
    )


def _next(window: MaintenanceWindow, at_ms: int) -> tuple[int, int] | None:
    """The first occurrence to come: every one begins at the same wall time of its day."""
    when = window.occurrences
    zone = ZoneInfo(when.time_zone)
    today = datetime.fromtimestamp(at_ms / 1000, zone).date()
    for ahead in range(_DAYS_AHEAD):
        begins = datetime.combine(today + timedelta(days=ahead), when.start.time(), zone)
        # A wall time that a clock change skips begins up to an hour later.
        for t_ms in (round(begins.timestamp() * 1000), round(begins.timestamp() * 1000) + _HOUR_MS):
            if t_ms > at_ms and (held := when.holding(t_ms)):
                return held
    return None
