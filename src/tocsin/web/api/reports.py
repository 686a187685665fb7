"""Reports: those that were made, one as JSON or HTML, and a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.web.answers import bytes_answer, json_answer
from tocsin.web.api.rows import cut
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.forms import Body, Instant, read_body
from tocsin.web.html import page

_KEPT_MS = 300_000
_MOST_KEPT = 8


class NewReport(Body):
    """Compared with the same time before. The last seven days when left out."""

    from_ms: Instant | None = None
    until_ms: Instant | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class ReportRow:
    id: int
    name: str
    """Of the plan in `report:`; `asked` for one that a person made."""
    title: str
    start_ms: int
    end_ms: int
    created_ms: int
    created_by: str
    summary: Sequence[str]


@dataclass(frozen=True, slots=True)
class ReportList:
    reports: Sequence[ReportRow]
    next: str


class Reports:
    """Handlers of `/reports`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: dict[tuple[tuple[str, str], ...], tuple[int, Any]] = {}
        self._lock = asyncio.Lock()

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, path = Permission.VIEWER, prefix + "/reports"
        return [
            Endpoint(path, self.list, permission=viewer, answer=ReportList),
            Endpoint(path, self.make, methods=["POST"], permission=Permission.RESPONDER, body=NewReport, answer=dict, status=201),
            Endpoint(path + "/preview", self.preview, permission=viewer, answer=dict),
            Endpoint(path + "/{id:int}.html", self.file, permission=viewer),
            Endpoint(path + "/{id:int}", self.one, permission=viewer, answer=dict),
            Endpoint("/reports/{id:int}", self.show, permission=viewer, errors=Errors.PAGE),
        ]

    async def list(self, request: Request) -> Response:
        """Reports that were made, newest first, each with its summary."""
        found = (await self._ask(request, "list", {}))["reports"]
        page, following = cut(found, request.query_params, lambda row: (-row["created_ms"], -row["id"]))
        return await json_answer(request, ReportList(page, following))

    async def one(self, request: Request) -> Response:
        """One report with every figure."""
        return await json_answer(request, await self._ask(request, "get", {"id": request.path_params["id"]}))

    async def file(self, request: Request) -> Response:
        """One report as an HTML file."""
        number = request.path_params["id"]
        found = await self._ask(request, "get", {"id": number, "html": "whole"})
        named = {"content-disposition": f'attachment; filename="report-{number}.html"'}
        return await bytes_answer(request, found["html"].encode(), media_type="text/html; charset=utf-8", headers=named)

    async def show(self, request: Request) -> Response:
        """One report as a page: what the links in mails lead to."""
        found = await self._ask(request, "get", {"id": request.path_params["id"], "html": "body"})
        return HTMLResponse(page(found["title"], body=found["html"], prefix=self._desk.settings.route_prefix))

    async def make(self, request: Request) -> Response:
        """Make a report and keep it."""
        body = await read_body(request, NewReport)
        args = {"from": body.from_ms, "until": body.until_ms, "title": body.title, "keep": True}
        return await json_answer(request, await self._ask(request, "make", args), status=201)

    async def preview(self, request: Request) -> Response:
        """A report of `from` to `until` (RFC 3339 or ms; the last seven days when left out) that is not kept."""
        args = {name: request.query_params[name] for name in ("from", "until", "title") if name in request.query_params}
        key, now_ms = tuple(sorted(args.items())), self._desk.now_ms()
        # Reading two months of many checks takes seconds of the core: a period that stands still is asked for once.
        async with self._lock:
            kept = self._kept.get(key)
            if kept is None or now_ms - kept[0] >= _KEPT_MS or len(args.keys() & {"from", "until"}) < 2:
                kept = (now_ms, await self._ask(request, "make", args))
                self._kept[key] = kept
                while len(self._kept) > _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
        return await json_answer(request, kept[1])

    async def _ask(self, request: Request, name: str, args: dict[str, Any]) -> Any:
        return await self._desk.parts.core.command(f"report.{name}", args, actor_of(request))
