"""What a check did: its runs (one of them: check_run.py), and its uptime by calendar periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.collect import uptime
from tocsin.collect.check_rows import changes_of
from tocsin.model.check import CheckState
from tocsin.state.schema import check_changes, check_runs, check_states
from tocsin.web.answers import json_answer
from tocsin.web.api.check_shapes import CheckRun
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.problem import Refused

Answer = TypeVar("Answer")

_PAGE = 100
_MOST_PERIODS = {"day": 400, "month": 120, "year": 30}
_PERIODS = {"day": 30, "month": 12, "year": 5}


@dataclass(frozen=True, slots=True)
class RunList:
    """Newest first. `before` and `next`: what to send as `before` or `cursor` for the next page, 0 and empty = there is none."""

    runs: Sequence[CheckRun]
    before: int
    next: str


@dataclass(frozen=True, slots=True)
class UptimeByPeriod:
    period: str
    time_zone: str
    periods: Sequence[uptime.PeriodUptime]


class CheckHistory:
    """Handlers of `/checks/{id}/runs` and `/checks/{id}/uptime`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        one, viewer = prefix + "/checks/{id}", Permission.VIEWER
        return [
            Endpoint(one + "/runs", self.runs, permission=viewer, answer=RunList),
            Endpoint(one + "/uptime", self.uptime, permission=viewer, answer=UptimeByPeriod),
        ]

    async def runs(self, request: Request) -> Response:
        """Runs that are kept (failures, changes, runs by people, a good one each ten minutes), newest first; `cursor` pages"""
        check_id, before = request.path_params["id"], _number(request, "cursor", 0) or _number(request, "before", 0)

        def read(tx: Connection) -> RunList | None:
            query = sa.select(check_runs).where(check_runs.c.check_id == check_id).order_by(check_runs.c.id.desc())
            rows = tx.execute((query.where(check_runs.c.id < before) if before else query).limit(_PAGE)).all()
            if not rows and not before and not _known(tx, check_id):
                return None
            following = rows[-1].id if len(rows) == _PAGE else 0
            return RunList([_run(row) for row in rows], following, str(following or ""))

        found = await self._desk.parts.database.read(read)
        runs = found if found is not None else await self._without_a_run(check_id, RunList([], 0, ""))
        return await json_answer(request, runs)

    async def uptime(self, request: Request) -> Response:
        """Uptime by calendar `period` (day, month, year), the last `count` of them in `time_zone`; unknown time is not counted"""
        check_id, given = request.path_params["id"], request.query_params.get("period", "day")
        period = next((known for known in uptime.PERIODS if known == given), None)
        if period is None:
            raise Refused(400, "bad_period", f"period {given[:40]!r}: expected day, month or year")
        count = _number(request, "count", _PERIODS[period])
        if not 1 <= count <= _MOST_PERIODS[period]:
            raise Refused(400, "bad_count", f"count: expected 1 to {_MOST_PERIODS[period]}")
        name, now_ms = request.query_params.get("time_zone", "UTC"), self._desk.now_ms()
        try:
            bounds = uptime.period_bounds(period, ZoneInfo(name), now_ms, count)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Refused(400, "bad_time_zone", f"time_zone {name!r}: expected a name such as Europe/Paris") from None

        def read(tx: Connection) -> list[uptime.Change] | None:
            changes = changes_of(tx, [check_id], bounds[0])[check_id]
            if changes:
                return changes
            state = tx.execute(sa.select(check_states).where(check_states.c.check_id == check_id)).first()
            return [uptime.Change(state.since_ms, CheckState(state.state))] if state is not None else None

        found = await self._desk.parts.database.read(read)
        changes = found if found is not None else await self._without_a_run(check_id, list[uptime.Change]())
        answer = UptimeByPeriod(period, name, uptime.uptime_by_period(changes, bounds, now_ms))
        return await json_answer(request, answer)

    async def _without_a_run(self, check_id: str, nothing: Answer) -> Answer:
        """`nothing` for a check that has not run yet: the state database knows only what ran. Raises Refused 404 for no check."""
        specs: list[dict[str, Any]] = await self._desk.state.try_ask("check.list", [])
        return _found(nothing if any(spec["id"] == check_id for spec in specs) else None, check_id)


def _run(row: Any) -> CheckRun:
    return CheckRun(row.id, row.started_ms, row.ok, row.reason, row.message, row.manual_by, row.result)


def _known(tx: Connection, check_id: str) -> bool:
    return any(
        tx.execute(sa.select(table.c.check_id).where(table.c.check_id == check_id).limit(1)).first() is not None
        for table in (check_states, check_changes)
    )


def _found(value: Answer | None, what: str) -> Answer:
    """Raises Refused 404 for nothing."""
    if value is None:
        raise Refused(404, "not_found", f"there is no check or run {what!r}")
    return value


def _number(request: Request, name: str, default: int) -> int:
    """Raises Refused 400."""
    text = request.query_params.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(400, "bad_number", f"{name} {text[:40]!r}: expected a whole number")
    return int(text) if text else default
