"""One run of a check: its evidence, the runs beside it, and what the other places saw at that time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import QueryError
from tocsin.model.labels import quote
from tocsin.state.schema import check_runs
from tocsin.web.answers import json_answer
from tocsin.web.api.check_shapes import CheckRun
from tocsin.web.api.columns import by_label
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.problem import Refused

_MANUAL_LOOKED_AT = 500
_USUAL_EVERY_MS = 60_000
_MOST_BESIDE = 500


@dataclass(frozen=True, slots=True)
class PlaceOfRun:
    """What one place saw nearest to a run."""

    location: str
    verdict: str
    """ok, degraded, failed, unknown; silent = nothing is known of that time."""
    t_ms: int
    message: str
    """Empty where only the measurement is kept: of good runs one each ten minutes has its evidence."""
    run: int
    """Its run, 0 = not kept."""


@dataclass(frozen=True, slots=True)
class RunDetail(CheckRun):
    """A run with what stands around it."""

    places: Sequence[PlaceOfRun]
    """Every place of the check, the run's own first."""
    before: int
    """The kept run before it, 0 = none."""
    after: int


class CheckRunPage:
    """The handler of `/checks/{id}/runs/{run}`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        path = prefix + "/checks/{id}/runs/{run}"
        return [Endpoint(path, self.run, permission=Permission.VIEWER, answer=RunDetail)]

    async def run(self, request: Request) -> Response:
        """One run with its evidence and what other places saw, by its number or by the `run_id` that `POST .../run` answered"""
        check_id, run = request.path_params["id"], request.path_params["run"]
        specs: Sequence[Mapping[str, Any]] = await self._desk.state.try_ask("check.list", [])
        spec: Mapping[str, Any] = next((spec for spec in specs if spec["id"] == check_id), {})
        every_ms = int(spec.get("every_ms", 0)) or _USUAL_EVERY_MS

        def read(tx: Connection) -> tuple[Row[Any], list[Row[Any]], int, int] | None:
            row = _row(tx, check_id, run)
            return None if row is None else (row, _beside(tx, row, every_ms), _next(tx, row, -1), _next(tx, row, 1))

        found = await self._desk.parts.database.read(read)
        if found is None:
            raise Refused(404, "not_found", f"there is no check or run {check_id + '/' + run!r}")
        row, beside, before, after = found
        own = str(row.result.get("location", "local"))
        others = [place for place in spec.get("locations", ()) if place != own]
        measured = await self._measured(check_id, row.started_ms, every_ms) if others else {}
        places = [_of_run(row), *(_elsewhere(place, row, beside, measured) for place in others)]
        run_row = (row.id, row.started_ms, row.ok, row.reason, row.message, row.manual_by, row.result)
        return await json_answer(request, RunDetail(*run_row, places, before, after))

    async def _measured(self, check_id: str, started_ms: int, every_ms: int) -> Mapping[str, tuple[bool, int]]:
        """place -> (good?, when): the last measurement of each within one period around the run."""
        selector = f"probe_success{{check={quote(check_id)}}}"
        try:
            values, times = [
                await self._desk.queries.instant(query, started_ms + every_ms) for query in (selector, f"timestamp({selector})")
            ]
        except QueryError:
            return {}
        when = by_label(times, "location")
        oldest_s = (started_ms - every_ms) / 1000
        good = by_label(values, "location").items()
        return {key[0]: (value > 0, round(when[key] * 1000)) for key, value in good if when.get(key, 0.0) >= oldest_s}


def _row(tx: Connection, check_id: str, run: str) -> Row[Any] | None:
    query = sa.select(check_runs).where(check_runs.c.check_id == check_id)
    if run.isascii() and run.isdigit() and len(run) < 19:
        return tx.execute(query.where(check_runs.c.id == int(run))).first()
    manual = query.where(check_runs.c.manual_by != "").order_by(check_runs.c.id.desc()).limit(_MANUAL_LOOKED_AT)
    return next((row for row in tx.execute(manual) if row.result.get("facts", {}).get("run_id") == run), None)


def _beside(tx: Connection, row: Row[Any], every_ms: int) -> list[Row[Any]]:
    """Runs of the same check within one period before and after, of any place."""
    c = check_runs.c
    near = c.started_ms.between(row.started_ms - every_ms, row.started_ms + every_ms)
    return list(tx.execute(sa.select(check_runs).where(c.check_id == row.check_id, near, c.id != row.id).limit(_MOST_BESIDE)))


def _next(tx: Connection, row: Row[Any], by: int) -> int:
    c = check_runs.c
    beyond, order = (c.id > row.id, c.id) if by > 0 else (c.id < row.id, c.id.desc())
    return tx.execute(sa.select(c.id).where(c.check_id == row.check_id, beyond).order_by(order).limit(1)).scalar() or 0


def _of_run(row: Row[Any]) -> PlaceOfRun:
    result: Mapping[str, Any] = row.result
    verdict = "unknown" if result.get("unknown") else "failed" if not row.ok else "degraded" if result.get("degraded") else "ok"
    return PlaceOfRun(str(result.get("location", "local")), verdict, row.started_ms, row.message, row.id)


def _elsewhere(place: str, row: Row[Any], beside: Sequence[Row[Any]], measured: Mapping[str, tuple[bool, int]]) -> PlaceOfRun:
    """What `place` saw: by its own run where that is kept, else by what was measured."""
    runs = [one for one in beside if one.result.get("location") == place]
    if runs:
        return _of_run(min(runs, key=lambda one: abs(one.started_ms - row.started_ms)))
    if place in measured:
        good, t_ms = measured[place]
        return PlaceOfRun(place, "ok" if good else "failed", t_ms, "", 0)
    return PlaceOfRun(place, "silent", 0, "", 0)
