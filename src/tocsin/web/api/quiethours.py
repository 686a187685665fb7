"""Quiet hours: one's own, and for administrators those of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import CommandError
from tocsin.web.desk import Desk, actor_of, caller_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.match import seen_by, thing_answer
from tocsin.web.problem import Refused


class NewQuietHours(Body):
    """Times of day in `time_zone`; `to` before `from` = over midnight."""

    start: str = pydantic.Field(alias="from", max_length=5)
    """22:00"""
    end: str = pydantic.Field(alias="to", max_length=5)
    days: list[str] = pydantic.Field([], max_length=7)
    """Days on which they begin (mon ... sun); none = every day."""
    time_zone: str | None = pydantic.Field(None, max_length=100)
    """Left out = the person's."""
    allow: list[str] = pydantic.Field(["critical"], max_length=20)
    """Severities that get through."""


@dataclass(frozen=True, slots=True)
class QuietHoursOfPerson:
    person: str
    time_zone: str
    """The person's."""
    severities: Sequence[str]
    source: str
    """own, file (changed in the file only), or empty: there are none."""
    hours: Mapping[str, Any] | None
    """{from, to, days, time_zone, allow, until_ms}; `until_ms`: when they end, if they hold messages back now, else 0."""
    etag: str


class QuietHoursApi:
    """Handlers of `/me/quiet-hours` and `/people/{person}/quiet-hours`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [
            *self._of(prefix + "/me/quiet-hours", Permission.VIEWER),
            *self._of(prefix + "/people/{person}/quiet-hours", Permission.ADMIN),
        ]

    def _of(self, path: str, permission: Permission) -> list[Endpoint]:
        answer, body, mark = QuietHoursOfPerson, NewQuietHours, self._mark
        return [
            Endpoint(path, self.get, permission=permission, answer=answer),
            Endpoint(path, self.set, methods=["PUT"], permission=permission, body=body, answer=answer, mark=mark),
            Endpoint(path, self.remove, methods=["DELETE"], permission=permission, status=204, mark=mark),
        ]

    async def get(self, request: Request) -> Response:
        """When a person would rather not be told, what gets through, and whether it holds now."""
        return await self._answer(request, await self._do(request, "get"))

    async def set(self, request: Request) -> Response:
        """Set quiet hours; what waits for the person follows at once."""
        body = await read_body(request, NewQuietHours)
        return await self._answer(request, await self._do(request, "set", **body.model_dump(by_alias=True), **seen_by(request)))

    async def remove(self, request: Request) -> Response:
        """No quiet hours: every message comes at once, also those that were held."""
        await self._do(request, "remove", **seen_by(request))
        return Response(status_code=204)

    async def _answer(self, request: Request, found: Any) -> Response:
        return await thing_answer(request, QuietHoursOfPerson(**found), found["etag"])

    async def _mark(self, request: Request) -> str | None:
        try:
            return str((await self._do(request, "get"))["etag"])
        except CommandError:
            return None  # the handler says what is wrong

    async def _do(self, request: Request, verb: str, **args: Any) -> Any:
        whom = {"person": request.path_params["person"]} if "person" in request.path_params else {"account": _account(request)}
        return await self._desk.parts.core.command(f"quiet.{verb}", {**args, **whom}, actor_of(request))


def _account(request: Request) -> str:
    account = caller_of(request).account
    if not account:
        raise Refused(403, "no_account", "this needs an account: sign in, API tokens belong to nobody")
    return account
