"""Dashboards: those that come with Tocsin, those of `dashboard_files` and those people saved; each also as Grafana reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import yaml
from starlette.requests import Request
from starlette.responses import Response

from tocsin.state.schema import boards
from tocsin.web.answers import bytes_answer, json_answer
from tocsin.web.api.rows import cut
from tocsin.web.boards.board import Dashboard, Panel
from tocsin.web.boards.builtin import builtin
from tocsin.web.boards.grafana import grafana_json
from tocsin.web.boards.saved import saved_boards
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import read_body
from tocsin.web.match import thing_answer, version_of
from tocsin.web.problem import Refused


@dataclass(frozen=True, slots=True)
class DashboardItem:
    name: str
    title: str
    description: str
    panels: int
    source: str
    """`built in`, `configured` (a file of `dashboard_files`) or `saved` (by somebody, and changed here)."""


@dataclass(frozen=True, slots=True)
class DashboardList:
    dashboards: Sequence[DashboardItem]
    next: str


@dataclass(frozen=True, slots=True)
class _Known:
    board: Dashboard
    source: str
    version: int = 0


class Dashboards:
    """Handlers of `/dashboards`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, responder = Permission.VIEWER, Permission.RESPONDER
        path, one, mark = prefix + "/dashboards", prefix + "/dashboards/{name}", self._mark
        return [
            Endpoint(path, self.list, permission=viewer, answer=DashboardList),
            Endpoint(path, self.save, methods=["POST"], permission=responder, body=Dashboard, answer=dict, status=201),
            Endpoint(one, self.show, permission=viewer, answer=dict),
            Endpoint(one, self.change, methods=["PUT"], permission=responder, body=Dashboard, answer=dict, mark=mark),
            Endpoint(one, self.remove, methods=["DELETE"], permission=responder, status=204, mark=mark),
            Endpoint(one + "/grafana.json", self.grafana, permission=viewer, answer=dict),
            Endpoint(one + "/file.yaml", self.file, permission=viewer),
        ]

    async def list(self, request: Request) -> Response:
        """Every dashboard: saved ones first, then those of the configuration, then those that come with Tocsin."""
        items = [
            DashboardItem(name, known.board.title, known.board.description, len(known.board.panels), known.source)
            for name, known in (await self._boards()).items()
        ]
        place = {item.name: number for number, item in enumerate(items)}
        page, following = cut(items, request.query_params, lambda item: (place[item.name], item.name))
        return await json_answer(request, DashboardList(page, following))

    async def show(self, request: Request) -> Response:
        """One dashboard: variables, sections, panels with their queries."""
        return await self._answer(request, request.path_params["name"])

    async def save(self, request: Request) -> Response:
        """Save a dashboard: the text that a file would hold, as JSON."""
        board = await read_body(request, Dashboard)
        await self._set(request, board, {})
        return await self._answer(request, board.name, status=201)

    async def change(self, request: Request) -> Response:
        """Another text for a dashboard that was saved here."""
        board, name = await read_body(request, Dashboard), request.path_params["name"]
        await self._set(request, board, {"name": name, **version_of(request)})
        return await self._answer(request, board.name)

    async def remove(self, request: Request) -> Response:
        """Remove a dashboard that was saved here."""
        args = {"name": request.path_params["name"], **version_of(request)}
        await self._desk.parts.core.command("board.remove", args, actor_of(request))
        return Response(status_code=204)

    async def grafana(self, request: Request) -> Response:
        """The dashboard for Grafana: classic model, data source as a variable."""
        board = (await self._known(request.path_params["name"])).board
        named = {"content-disposition": f'attachment; filename="tocsin-{board.name}.json"'}
        return await bytes_answer(request, grafana_json(board).encode(), headers=named)

    async def file(self, request: Request) -> Response:
        """The dashboard as a file for `dashboard_files`."""
        board = (await self._known(request.path_params["name"])).board
        document = board.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=140)
        named = {"content-disposition": f'attachment; filename="{board.name}.yaml"'}
        return await bytes_answer(request, text.encode(), media_type="application/yaml", headers=named)

    async def _set(self, request: Request, board: Dashboard, args: Mapping[str, Any]) -> None:
        known = (await self._boards()).get(board.name)
        if known is not None and board.name != args.get("name"):
            raise Refused(409, "exists", f"there is a dashboard {board.name!r} already; give it another name")
        sent = {"board": board.model_dump(mode="json", exclude_defaults=True), **args}
        await self._desk.parts.core.command("board.set", sent, actor_of(request))

    async def _answer(self, request: Request, name: str, *, status: int = 200) -> Response:
        known = await self._known(name)
        mark = str(known.version) if known.version else ""
        answer = {**known.board.model_dump(mode="json"), "source": known.source, "etag": mark}
        for section, declared in zip(answer["sections"], known.board.sections, strict=True):
            section["panels"] = [_panel(panel) for panel in declared.panels]
        if not mark:
            return await json_answer(request, answer, status=status)
        return await thing_answer(request, answer, mark, status=status)

    async def _mark(self, request: Request) -> str | None:
        query = sa.select(boards.c.version).where(boards.c.name == request.path_params["name"])
        version = await self._desk.parts.database.read(lambda tx: tx.execute(query).scalar())
        return None if version is None else str(version)

    async def _known(self, name: str) -> _Known:
        known = (await self._boards()).get(name)
        if known is None:
            raise Refused(404, "no_such_dashboard", f"there is no dashboard {name!r}")
        return known

    async def _boards(self) -> dict[str, _Known]:
        """By name. A file stands in for a saved one of its name, and either for one that comes with Tocsin."""
        state: Mapping[str, object] = await self._desk.state.try_ask("config.state", {})
        raw = state.get("dashboards") or ()
        assert isinstance(raw, list | tuple)
        files = {board.name: _Known(board, "configured") for board in map(Dashboard.model_validate, raw)}
        read = await self._desk.parts.database.read(saved_boards)
        saved = {name: _Known(board, "saved", version) for name, (board, version) in read.items() if name not in files}
        ours = {name: _Known(board, "built in") for name, board in builtin().items() if name not in files and name not in saved}
        return {**saved, **files, **ours}


def _panel(panel: Panel) -> dict[str, object]:
    """As the dashboard takes it: queries in order, with their legends."""
    return {**panel.model_dump(), "queries": [{"name": name, "query": query} for name, query in panel.queries.items()]}
