"""Checks: the list, one with its evidence, add by URL, run now, pause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.collect import uptime
from tocsin.errors import QueryError
from tocsin.model.check import CheckState
from tocsin.model.incident import IncidentState
from tocsin.model.labels import quote
from tocsin.state.schema import check_changes, check_runs, check_states, incident_alerts, incidents
from tocsin.web.answers import json_answer
from tocsin.web.api.columns import aligned
from tocsin.web.api.shapes import CheckChange, CheckDetail, CheckList, CheckRow, CheckRun, Points
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.problem import Refused

_DAY_MS = 86_400_000
_LATENCY_MS = 6 * 3_600_000
_LATENCY_STEP_MS = 60_000
_RUNS = 50
_CHANGES = 200
OPEN = tuple(state.value for state in IncidentState if state.open)


class AddCheck(Body):
    """`url` alone, or a whole check as the configuration file writes it."""

    url: str = ""
    type: str = ""
    name: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    every: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class Checks:
    """Handlers of `/checks`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        responder = Permission.RESPONDER
        one = prefix + "/checks/{id}"
        return [
            Endpoint(prefix + "/checks", self.list, permission=Permission.VIEWER, answer=CheckList),
            Endpoint(
                prefix + "/checks",
                self.add,
                methods=["POST"],
                permission=responder,
                answer=CheckRow,
                body=AddCheck,
                status=201,
            ),
            Endpoint(one, self.detail, permission=Permission.VIEWER, answer=CheckDetail),
            Endpoint(one, self.remove, methods=["DELETE"], permission=responder, status=204),
            Endpoint(one + "/run", self.run, methods=["POST"], permission=responder, answer=dict),
            Endpoint(one + "/pause", self.pause, methods=["POST"], permission=responder, answer=CheckRow),
            Endpoint(one + "/resume", self.resume, methods=["POST"], permission=responder, answer=CheckRow),
        ]

    async def list(self, request: Request) -> Response:
        """Every check with its state, uptime and strip of the last day."""
        rows = await self.rows()
        return await json_answer(request, CheckList(self._desk.now_ms(), self._desk.hub.cursor, rows))

    async def rows(self) -> Sequence[CheckRow]:
        specs: list[dict[str, Any]] = await self._desk.state.ask("check.list")
        now_ms = self._desk.now_ms()
        return await self._desk.parts.database.read(lambda tx: check_rows(tx, specs, now_ms))

    async def detail(self, request: Request) -> Response:
        """One check: last runs with evidence, changes, uptime, latency."""
        spec = await self._spec(request.path_params["id"])
        now_ms = self._desk.now_ms()
        latency = await self._latency(spec["id"], now_ms)
        answer = await self._desk.parts.database.read(lambda tx: _detail(tx, spec, now_ms, latency))
        return await json_answer(request, answer)

    async def add(self, request: Request) -> Response:
        """Watch something new; it is checked from now on."""
        body = await read_body(request, AddCheck)
        if not body.url and not body.type:
            raise Refused(400, "bad_body", "expected `url`, or `type` with `settings`")
        args = body.model_dump(exclude_defaults=True)
        added = await self._desk.parts.core.command("check.add", args, actor_of(request))
        self._desk.state.forget("check.list")
        return await self._answer_row(request, _id_of(added), status=201)

    async def remove(self, request: Request) -> Response:
        """Remove a check that was added in the dashboard."""
        await self._desk.parts.core.command("check.remove", {"id": request.path_params["id"]}, actor_of(request))
        self._desk.state.forget("check.list")
        return Response(status_code=204)

    async def run(self, request: Request) -> Response:
        """Run now and answer with everything seen."""
        result = await self._desk.parts.core.command("check.run", {"id": request.path_params["id"]}, actor_of(request))
        return await json_answer(request, result)

    async def pause(self, request: Request) -> Response:
        """Stop checking until resumed."""
        return await self._switch(request, "check.pause")

    async def resume(self, request: Request) -> Response:
        """Check again."""
        return await self._switch(request, "check.resume")

    async def _switch(self, request: Request, command: str) -> Response:
        check_id = request.path_params["id"]
        await self._desk.parts.core.command(command, {"id": check_id}, actor_of(request))
        self._desk.state.forget("check.list")
        return await self._answer_row(request, check_id)

    async def _answer_row(self, request: Request, check_id: str, *, status: int = 200) -> Response:
        spec = await self._spec(check_id)
        now_ms = self._desk.now_ms()
        rows = await self._desk.parts.database.read(lambda tx: check_rows(tx, [spec], now_ms))
        return await json_answer(request, rows[0], status=status)

    async def _spec(self, check_id: str) -> dict[str, Any]:
        specs: list[dict[str, Any]] = await self._desk.state.ask("check.list")
        for spec in specs:
            if spec["id"] == check_id:
                return spec
        raise Refused(404, "no_such_check", f"there is no check {check_id!r}")

    async def _latency(self, check_id: str, now_ms: int) -> Points:
        """Seconds of the last six hours, one point a minute."""
        end_ms = now_ms - now_ms % _LATENCY_STEP_MS
        start_ms = end_ms - _LATENCY_MS
        query = f"max(probe_duration_seconds{{check={quote(check_id)}}})"
        try:
            result = await self._desk.queries.range(query, start_ms, end_ms, _LATENCY_STEP_MS)
        except QueryError:
            return Points((), ())
        t_ms = list(range(start_ms, end_ms + 1, _LATENCY_STEP_MS))
        return Points(t_ms, aligned(result))


def _id_of(added: Any) -> str:
    return str(added["id"] if isinstance(added, Mapping) else added)


# -- rows --------------------------------------------------------------------------------------------------------------


def check_rows(tx: Connection, specs: Sequence[Mapping[str, Any]], now_ms: int) -> list[CheckRow]:
    """Rows of the given checks, in their order."""
    states = _states(tx)
    changes = _changes_since(tx, now_ms - _DAY_MS, [spec["id"] for spec in specs])
    open_incidents = _incidents_of_checks(tx)
    rows = []
    for spec in specs:
        state = states.get(spec["id"])
        history = _history(state, changes.get(spec["id"], ()), now_ms - _DAY_MS)
        rows.append(_row(spec, state, history, open_incidents, now_ms))
    return rows


def _row(
    spec: Mapping[str, Any], state: Any, history: Sequence[uptime.Change], open_incidents: Mapping[str, int], now_ms: int
) -> CheckRow:
    paused = bool(spec.get("paused"))
    known = state.state if state is not None else spec.get("state", CheckState.PENDING)
    every_ms = int(spec.get("every_ms", 0))
    return CheckRow(
        id=spec["id"],
        name=spec.get("name", spec["id"]),
        type=spec.get("type", ""),
        target=spec.get("target", ""),
        state=CheckState.PAUSED if paused else known,
        since_ms=state.since_ms if state is not None else 0,
        reason=state.reason if state is not None else "",
        message=state.message if state is not None else "",
        duration_ms=state.duration_ms if state is not None else None,
        last_ms=state.last_ms if state is not None else 0,
        next_ms=int(spec.get("next_ms", 0)) or (state.last_ms + every_ms if state is not None else 0),
        every_ms=every_ms,
        failures=state.consecutive_failures if state is not None else 0,
        failures_needed=int(spec.get("failures", 0)),
        uptime=uptime.uptime_ratio(history, now_ms - _DAY_MS, now_ms),
        strip=uptime.strip(history, now_ms),
        labels=dict(spec.get("labels", {})),
        source=spec.get("source", ""),
        incident=open_incidents.get(spec["id"], 0),
    )


def _states(tx: Connection) -> dict[str, Any]:
    """State per check, worst location first where a check runs at several. The evidence stays in the table."""
    c = check_states.c
    query = sa.select(
        c.check_id, c.state, c.since_ms, c.reason, c.message, c.consecutive_failures, c.last_ms,
        c.last_result["duration_ms"].as_float().label("duration_ms"),
    )  # fmt: skip
    rows: dict[str, Any] = {}
    worst = (CheckState.DOWN, CheckState.DEGRADED, CheckState.UNKNOWN, CheckState.UP, CheckState.PENDING, CheckState.PAUSED)
    for row in tx.execute(query):
        kept = rows.get(row.check_id)
        if kept is None or worst.index(CheckState(row.state)) < worst.index(CheckState(kept.state)):
            rows[row.check_id] = row
    return rows


def _changes_since(tx: Connection, since_ms: int, ids: Sequence[str]) -> dict[str, list[Any]]:
    """Rows of state changes per check, oldest first."""
    c = check_changes.c
    query = sa.select(c.check_id, c.t_ms, c.before, c.after).where(c.t_ms >= since_ms).order_by(c.check_id, c.id)
    if len(ids) == 1:
        query = query.where(c.check_id == ids[0])
    found: dict[str, list[Any]] = defaultdict(list)
    for row in tx.execute(query):
        found[row.check_id].append(row)
    return found


def _history(state: Any, changes: Sequence[Any], since_ms: int) -> list[uptime.Change]:
    """What a check was from `since_ms` on: each change says what was before it; without one it was what it is."""
    if not changes:
        return [uptime.Change(state.since_ms, CheckState(state.state))] if state is not None and state.since_ms else []
    first = uptime.Change(since_ms, CheckState(changes[0].before or CheckState.PENDING))
    return [first, *(uptime.Change(row.t_ms, CheckState(row.after)) for row in changes)]


def _incidents_of_checks(tx: Connection) -> dict[str, int]:
    """check id -> its open incident, by the label `check` of the incident's alerts."""
    query = (
        sa.select(incident_alerts.c.labels, incident_alerts.c.incident)
        .join(incidents, incidents.c.number == incident_alerts.c.incident)
        .where(incidents.c.state.in_(OPEN))
        .order_by(incident_alerts.c.incident)
    )
    return {row.labels["check"]: row.incident for row in tx.execute(query) if row.labels.get("check")}


def _detail(tx: Connection, spec: Mapping[str, Any], now_ms: int, latency: Points) -> CheckDetail:
    check_id = spec["id"]
    [row] = check_rows(tx, [spec], now_ms)
    since_ms = now_ms - max(uptime.WINDOWS_MS.values())
    history = _history(_states(tx).get(check_id), _changes_since(tx, since_ms, [check_id]).get(check_id, ()), since_ms)
    runs = tx.execute(
        sa.select(check_runs).where(check_runs.c.check_id == check_id).order_by(check_runs.c.started_ms.desc()).limit(_RUNS)
    )
    turns = tx.execute(
        sa.select(check_changes).where(check_changes.c.check_id == check_id).order_by(check_changes.c.id.desc()).limit(_CHANGES)
    )
    last = (
        sa.select(check_states.c.last_result).where(check_states.c.check_id == check_id).order_by(check_states.c.last_ms.desc())
    )
    return CheckDetail(
        **{name: getattr(row, name) for name in CheckRow.__dataclass_fields__},
        settings=spec.get("settings", {}),
        last_result=tx.execute(last.limit(1)).scalar(),
        runs=[CheckRun(r.id, r.started_ms, r.ok, r.reason, r.message, r.manual_by, r.result) for r in runs],
        changes=[CheckChange(r.t_ms, r.before, r.after, r.reason, r.message) for r in turns],
        uptime_by_window=uptime.uptime_by_window(history, now_ms),
        latency=latency,
        runbook=spec.get("runbook", ""),
    )
