"""On call: who, until when, and overrides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.state.schema import schedule_overrides
from tocsin.web.answers import json_answer
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, Instant, read_body

_SHOWN = 200


class NewOverride(Body):
    schedule: str
    start_ms: Instant
    end_ms: Instant
    users: list[str]
    mode: Literal["set", "add"] = "set"


@dataclass(frozen=True, slots=True)
class OverrideRow:
    id: str
    schedule: str
    start_ms: int
    end_ms: int
    users: Sequence[str]
    mode: str
    created_by: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class OverrideList:
    overrides: Sequence[OverrideRow]


class OnCall:
    """Handlers of `/oncall`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, responder, path = Permission.VIEWER, Permission.RESPONDER, prefix + "/oncall/overrides"
        return [
            Endpoint(prefix + "/oncall", self.now, permission=viewer, answer=dict),
            Endpoint(path, self.overrides, permission=viewer, answer=OverrideList),
            Endpoint(path, self.add, methods=["POST"], permission=responder, body=NewOverride, answer=OverrideRow, status=201),
            Endpoint(path + "/{id}", self.remove, methods=["DELETE"], permission=responder, status=204),
        ]

    async def now(self, request: Request) -> Response:
        """Schedules with who is on call, policies, people."""
        return await json_answer(request, await self._desk.state.ask("oncall.state"))

    async def overrides(self, request: Request) -> Response:
        """Overrides, those to come first, then the latest past ones."""
        rows = await self._desk.parts.database.read(_rows)
        return await json_answer(request, OverrideList(rows))

    async def add(self, request: Request) -> Response:
        """Put somebody on call for a while."""
        body = await read_body(request, NewOverride)
        made = await self._desk.parts.core.command("override.add", body.model_dump(), actor_of(request))
        self._desk.state.forget("oncall.state")
        rows = await self._desk.parts.database.read(_rows)
        return await json_answer(request, next(row for row in rows if row.id == made["id"]), status=201)

    async def remove(self, request: Request) -> Response:
        """End an override."""
        await self._desk.parts.core.command("override.remove", {"id": request.path_params["id"]}, actor_of(request))
        self._desk.state.forget("oncall.state")
        return Response(status_code=204)


def _rows(tx: Connection) -> list[OverrideRow]:
    query = sa.select(schedule_overrides).order_by(schedule_overrides.c.end_ms.desc()).limit(_SHOWN)
    names = OverrideRow.__dataclass_fields__
    return [OverrideRow(**{name: getattr(row, name) for name in names}) for row in tx.execute(query)]
