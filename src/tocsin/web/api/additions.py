"""What is imported or filled in in the dashboard: `/additions`, with a plan of each import before it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import json_answer
from tocsin.web.api.rows import cut
from tocsin.web.api.shapes import Problem
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, MiB, Permission
from tocsin.web.forms import Body, read_body

_LARGEST = 32 * MiB
_PLAN_S = 60.0


class GivenFile(Body):
    name: Annotated[str, Field(min_length=1, max_length=300)]
    text: str


class ImportBody(Body):
    files: list[GivenFile]
    """prometheus.yml, rules, alertmanager.yml with templates, monitors of Uptime Kuma, dashboards of Grafana, `host:port`."""
    seen: str = ""
    """Of the plan that was shown: taken only if it is still the same."""


class PersonBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    time_zone: str = "UTC"
    channel: str = ""
    address: str = ""
    settings: dict[str, str] = Field(default_factory=dict)
    on_call: bool = False


@dataclass(frozen=True, slots=True)
class TakenRow:
    what: str
    name: str
    note: str


@dataclass(frozen=True, slots=True)
class FoundMetric:
    name: str
    type: str
    help: str


@dataclass(frozen=True, slots=True)
class LookRow:
    """What one target answers now."""

    url: str
    error: str
    samples: int
    count: int
    metrics: Sequence[FoundMetric]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    taken: Sequence[TakenRow]
    left: Sequence[Problem]
    """With the place of each."""
    problems: Sequence[Problem]
    """What keeps all of it from being taken."""
    changes: Sequence[str]
    """What will be otherwise for things that are there."""
    ok: bool
    seen: str
    looks: Sequence[LookRow] = ()


@dataclass(frozen=True, slots=True)
class Added:
    id: str
    taken: Sequence[TakenRow]
    left: Sequence[Problem]


@dataclass(frozen=True, slots=True)
class AdditionRow:
    id: str
    title: str
    kind: str
    created_by: str
    created_ms: int
    text: str
    """The lines that would say the same in tocsin.yaml; secrets are hidden."""
    files: Sequence[str]


@dataclass(frozen=True, slots=True)
class AdditionList:
    additions: Sequence[AdditionRow]
    next: str


class Additions:
    """Handlers of `/additions`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        admin, here = Permission.ADMIN, prefix + "/additions"
        post = ["POST"]
        return [
            Endpoint(here, self.list, permission=admin, answer=AdditionList),
            Endpoint(
                here, self.add, methods=post, permission=admin, body=ImportBody, answer=Added, status=201, max_body=_LARGEST
            ),
            Endpoint(
                here + "/plan", self.plan, methods=post, permission=admin, body=ImportBody, answer=ImportPlan, max_body=_LARGEST
            ),
            Endpoint(here + "/person", self.person, methods=post, permission=admin, body=PersonBody, answer=Added, status=201),
            Endpoint(here + "/{id}", self.remove, methods=["DELETE"], permission=admin, status=204),
        ]

    async def list(self, request: Request) -> Response:
        """What was added to the configuration here, newest first"""
        rows: list[dict[str, Any]] = await self._do(request, "list", {})
        page, following = cut(rows, request.query_params, lambda row: (-row["created_ms"], row["id"]))
        return await json_answer(request, {"additions": page, "next": following})

    async def plan(self, request: Request) -> Response:
        """What an import would take, what it would leave and where that stands, what its targets answer; nothing is changed"""
        body = await read_body(request, ImportBody)
        return await json_answer(request, await self._do(request, "plan", _args(body)))

    async def add(self, request: Request) -> Response:
        """Take files over; what is there already stays as it is"""
        body = await read_body(request, ImportBody)
        return await json_answer(request, await self._do(request, "add", _args(body)), status=201)

    async def person(self, request: Request) -> Response:
        """Somebody to tell, how, and a schedule in which they are on call"""
        body = await read_body(request, PersonBody)
        return await json_answer(request, await self._do(request, "person", body.model_dump()), status=201)

    async def remove(self, request: Request) -> Response:
        """Take back what was added; checks that came with it are removed one by one"""
        await self._do(request, "remove", {"id": request.path_params["id"]})
        return Response(status_code=204)

    async def _do(self, request: Request, name: str, args: dict[str, Any]) -> Any:
        core = self._desk.parts.core
        return await core.command(f"addition.{name}", args, actor_of(request), timeout_s=_PLAN_S)


def _args(body: ImportBody) -> dict[str, Any]:
    return {"files": {one.name: one.text for one in body.files}, "seen": body.seen}
