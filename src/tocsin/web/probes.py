"""Probes elsewhere: `tocsin probe --core URL` asks for its plan and reports what it saw, through the public port.

The plan holds what the checks of one place need, secrets of their settings too: the token that may ask for it is bound to that
place. An agent speaks for its own place only, and never for `local`, which is the probe process beside the core.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import json_answer
from tocsin.web.desk import Desk, actor_of, caller_of
from tocsin.web.endpoint import Endpoint, MiB, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.problem import Refused

_REPORT = 32 * MiB
_MOST_RESULTS = 1_000
_LARGEST = 1 << 53

_MOST_PHASES = 50

Location = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class PlanBody(Body):
    """Where the agent is, and the version of the plan it has (0 = none)."""

    location: Location
    version: int = 0


class ReportBody(Body):
    """Where the agent is, and what its checks saw, in their order.

    `session` and `number` name the report: told again because the answer was lost, it is not counted twice. `sent_ms` is the
    agent's clock: results are dated by ours.
    """

    location: Location
    results: list[dict[str, Any]] = Field(max_length=_MOST_RESULTS)
    session: str = Field("", max_length=64)
    number: int = Field(0, ge=0, le=_LARGEST)
    sent_ms: int = Field(0, ge=0, le=_LARGEST)


class PhaseBody(Body):
    name: str = Field(max_length=40)
    ms: float = Field(ge=0, le=_LARGEST)


class ProgressBody(Body):
    """What a run that somebody asked for is doing, and the phases that it has behind it: [{name, ms}]."""

    location: Location
    run_id: str = Field(max_length=64)
    doing: str = Field("", max_length=400)
    phases: list[PhaseBody] = Field(default_factory=list, max_length=_MOST_PHASES)


class Probes:
    """Handlers of `/probe`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [
            Endpoint(prefix + "/probe/plan", self.plan, methods=["POST"], permission=Permission.PROBE, body=PlanBody),
            Endpoint(
                prefix + "/probe/report",
                self.report,
                methods=["POST"],
                permission=Permission.PROBE,
                body=ReportBody,
                max_body=_REPORT,
            ),
            Endpoint(prefix + "/probe/progress", self.progress, methods=["POST"], permission=Permission.PROBE, body=ProgressBody),
        ]

    async def plan(self, request: Request) -> Response:
        """What an agent at this place should run; waits up to 20 s while nothing is new"""
        body = await read_body(request, PlanBody)
        args = {"location": _own_place(request, body.location), "version": body.version}
        return await json_answer(request, await self._desk.parts.core.command("probe.plan", args, actor_of(request)))

    async def report(self, request: Request) -> Response:
        """What an agent saw"""
        body = await read_body(request, ReportBody)
        here = _own_place(request, body.location)
        results = [{**result, "location": here} for result in body.results]
        report = {"session": body.session, "number": body.number, "sent_ms": body.sent_ms}
        args = {"location": here, "results": results, **report}
        return await json_answer(request, await self._desk.parts.core.command("probe.report", args, actor_of(request)))

    async def progress(self, request: Request) -> Response:
        """What an agent is doing for somebody who waits"""
        body = await read_body(request, ProgressBody)
        args = {**body.model_dump(), "location": _own_place(request, body.location)}
        return await json_answer(request, await self._desk.parts.core.command("probe.progress", args, actor_of(request)))


def _own_place(request: Request, location: str) -> str:
    """The place that the caller's token is bound to. Raises Refused 403 for another one."""
    place = caller_of(request).place
    if location != place:
        raise Refused(403, "another_place", f"this token is bound to {place!r} and may not speak for {location!r}")
    return place
