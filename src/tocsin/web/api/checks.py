"""Checks: the list, one with its evidence, add by URL, run now, pause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import QueryError
from tocsin.model.labels import quote
from tocsin.state.marks import check_mark
from tocsin.web.answers import json_answer
from tocsin.web.api import past
from tocsin.web.api.check_lines import check_rows, detail_of
from tocsin.web.api.check_shapes import CheckDetail, CheckList, CheckRow, Points
from tocsin.web.api.check_windows import USUAL, CheckWindows, Usual
from tocsin.web.api.columns import aligned
from tocsin.web.api.live_run import NDJSON, streamed_run
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.rows import MOST_ROWS, cut
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.match import seen_by, thing_answer
from tocsin.web.problem import Refused

_LATENCY_MS = 6 * 3_600_000
_LATENCY_STEP_MS = 60_000


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
        self._windows = CheckWindows(desk)

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
            Endpoint(one, self.remove, methods=["DELETE"], permission=responder, status=204, mark=self._mark),
            Endpoint(one + "/run", self.run, methods=["POST"], permission=responder, answer=dict),
            Endpoint(one + "/pause", self.pause, methods=["POST"], permission=responder, answer=CheckRow, mark=self._mark),
            Endpoint(one + "/resume", self.resume, methods=["POST"], permission=responder, answer=CheckRow, mark=self._mark),
        ]

    async def list(self, request: Request) -> Response:
        """Every check with its state, uptime and strip of the `window` (24h, 7d, 30d, 90d), and p95; `at` = as they were then."""
        now_ms = self._desk.now_ms()
        at_ms = moment_of(request, now_ms)
        if is_past(request):
            specs = await self._desk.state.ask("check.list")
            rows: Sequence[CheckRow] = await self._desk.parts.database.read(lambda tx: past.checks_at(tx, specs, at_ms))
            window, usual = USUAL, Usual(0, {})
        else:
            window, usual = request.query_params.get("window", USUAL), await self._windows.usual()
            rows = await self._windows.over(window, await self.rows())
        page, following = cut(rows, request.query_params, lambda row: (row.name, row.id), size=MOST_ROWS)
        answer = CheckList(now_ms, self._desk.hub.cursor, page, following, window, usual.values, usual.span_ms)
        return await json_answer(request, answer)

    async def rows(self) -> Sequence[CheckRow]:
        specs: list[dict[str, Any]] = await self._desk.state.ask("check.list")
        now_ms = self._desk.now_ms()
        return await self._desk.parts.database.read(lambda tx: check_rows(tx, specs, now_ms))

    async def detail(self, request: Request) -> Response:
        """One check: last runs with evidence, changes, uptime, latency; `at` = as it was then, as far as it is kept."""
        spec = await self._spec(request.path_params["id"])
        now_ms = self._desk.now_ms()
        at_ms = moment_of(request, now_ms)
        latency = await self._latency(spec["id"], at_ms)

        def read(tx: Connection) -> CheckDetail:
            if is_past(request):
                return past.check_then(tx, spec, at_ms, latency)
            [row] = check_rows(tx, [spec], now_ms)
            return detail_of(tx, spec, row, now_ms, latency)

        etag = check_mark(spec)
        answer = replace(await self._desk.parts.database.read(read), now_ms=now_ms, cursor=self._desk.hub.cursor, etag=etag)
        return await thing_answer(request, answer, etag)

    async def _mark(self, request: Request) -> str | None:
        try:
            return check_mark(await self._spec(request.path_params["id"]))
        except Refused:
            return None

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
        args = {"id": request.path_params["id"], **seen_by(request)}
        await self._desk.parts.core.command("check.remove", args, actor_of(request))
        self._desk.state.forget("check.list")
        return Response(status_code=204)

    async def run(self, request: Request) -> Response:
        """Run now and answer with everything seen; as `application/x-ndjson` a line for each phase, then the result."""
        if NDJSON in request.headers.get("accept", ""):
            return await streamed_run(self._desk, request)
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
        await self._desk.parts.core.command(command, {"id": check_id, **seen_by(request)}, actor_of(request))
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
