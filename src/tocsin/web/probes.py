"""Probes elsewhere: `tocsin probe --core URL` asks for its plan and reports what it saw, through the public port.

The plan holds what the checks need, secrets of their settings too: a token that may ask for it belongs to the agent alone.
An agent speaks for its own place only, and never for `local`, which is the probe process beside the core.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import json_answer
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, MiB, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.problem import Refused

_LOCAL = "local"
_REPORT = 32 * MiB
_MOST_RESULTS = 1_000

Location = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class PlanBody(Body):
    """Where the agent is, and the version of the plan it has (0 = none)."""

    location: Location
    version: int = 0


class ReportBody(Body):
    """Where the agent is, and what its checks saw, in their order."""

    location: Location
    results: list[dict[str, Any]] = Field(max_length=_MOST_RESULTS)


class Probes:
    """Handlers of `/probe`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [
            Endpoint(prefix + "/probe/plan", self.plan, methods=["POST"], permission=Permission.SENDER, body=PlanBody),
            Endpoint(
                prefix + "/probe/report",
                self.report,
                methods=["POST"],
                permission=Permission.SENDER,
                body=ReportBody,
                max_body=_REPORT,
            ),
        ]

    async def plan(self, request: Request) -> Response:
        """What an agent at this place should run; waits up to 20 s while nothing is new"""
        body = await read_body(request, PlanBody)
        args = {"location": _elsewhere(body.location), "version": body.version}
        return await json_answer(request, await self._desk.parts.core.command("probe.plan", args, actor_of(request)))

    async def report(self, request: Request) -> Response:
        """What an agent saw"""
        body = await read_body(request, ReportBody)
        here = _elsewhere(body.location)
        args = {"location": here, "results": [{**result, "location": here} for result in body.results]}
        return await json_answer(request, await self._desk.parts.core.command("probe.report", args, actor_of(request)))


def _elsewhere(location: str) -> str:
    if location == _LOCAL:
        raise Refused(422, "local_probe", "`local` is the probe beside the core: give the agent a location name of its own")
    return location
