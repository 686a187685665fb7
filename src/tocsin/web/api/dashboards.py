"""Dashboards: those that come with Tocsin, and those of `dashboard_files`; each also as Grafana reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import bytes_answer, json_answer
from tocsin.web.api.rows import cut
from tocsin.web.boards.board import Dashboard, Panel
from tocsin.web.boards.builtin import builtin
from tocsin.web.boards.grafana import grafana_json
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.problem import Refused


@dataclass(frozen=True, slots=True)
class DashboardItem:
    name: str
    title: str
    description: str
    panels: int
    source: str
    """`built in`, or `configured`."""


@dataclass(frozen=True, slots=True)
class DashboardList:
    dashboards: Sequence[DashboardItem]
    next: str


class Dashboards:
    """Handlers of `/dashboards`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, one = Permission.VIEWER, prefix + "/dashboards/{name}"
        return [
            Endpoint(prefix + "/dashboards", self.list, permission=viewer, answer=DashboardList),
            Endpoint(one, self.show, permission=viewer, answer=dict),
            Endpoint(one + "/grafana.json", self.grafana, permission=viewer, answer=dict),
        ]

    async def list(self, request: Request) -> Response:
        """Every dashboard, those of the configuration first."""
        items = [
            DashboardItem(
                board.name,
                board.title,
                board.description,
                len(board.panels),
                "built in" if board is builtin().get(name) else "configured",
            )
            for name, board in (await self._boards()).items()
        ]
        place = {item.name: number for number, item in enumerate(items)}
        page, following = cut(items, request.query_params, lambda item: (place[item.name], item.name))
        return await json_answer(request, DashboardList(page, following))

    async def show(self, request: Request) -> Response:
        """One dashboard: variables, sections, panels with their queries."""
        board = await self._board(request)
        answer = board.model_dump()
        for section, declared in zip(answer["sections"], board.sections, strict=True):
            section["panels"] = [_panel(panel) for panel in declared.panels]
        return await json_answer(request, answer)

    async def grafana(self, request: Request) -> Response:
        """The dashboard for Grafana: classic model, data source as a variable."""
        board = await self._board(request)
        named = {"content-disposition": f'attachment; filename="tocsin-{board.name}.json"'}
        return await bytes_answer(request, grafana_json(board).encode(), headers=named)

    async def _board(self, request: Request) -> Dashboard:
        name = request.path_params["name"]
        board = (await self._boards()).get(name)
        if board is None:
            raise Refused(404, "no_such_dashboard", f"there is no dashboard {name!r}")
        return board

    async def _boards(self) -> dict[str, Dashboard]:
        """By name; a configured one stands in for a built-in one of the same name."""
        state: Mapping[str, object] = await self._desk.state.try_ask("config.state", {})
        raw = state.get("dashboards") or ()
        assert isinstance(raw, list | tuple)
        configured = [Dashboard.model_validate(item) for item in raw]
        return {
            **{board.name: board for board in configured},
            **{k: v for k, v in builtin().items() if k not in {b.name for b in configured}},
        }


def _panel(panel: Panel) -> dict[str, object]:
    """As the dashboard takes it: queries in order, with their legends."""
    return {**panel.model_dump(), "queries": [{"name": name, "query": query} for name, query in panel.queries.items()]}
