"""On call: who, until when, and overrides; questions about schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.incidents.feeds import listed
from tocsin.incidents.questions import schedule_evaluate
from tocsin.incidents.schedule import format_instant
from tocsin.model.event import SYSTEM
from tocsin.state.schema import schedule_overrides
from tocsin.web.answers import bytes_answer, json_answer
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.rows import cut
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Errors, Handler, Permission
from tocsin.web.forms import Body, Instant, read_body
from tocsin.web.problem import Refused

_SHOWN = 200
_QUESTIONS: dict[str, tuple[str, tuple[str, ...], str]] = {
    # word of the path: (question of the core, its parameters, summary)
    "oncall": ("oncall_at", ("at",), "Who is on call at an instant, and by which layer"),
    "shifts": ("shifts", ("from", "until"), "Shifts in a window, merged; uncovered time is left out"),
    "gaps": ("gaps", ("from", "until"), "When nobody is on call in a window"),
    "layers": ("layers", ("from", "until"), "Each layer by itself in a window, the one that wins first; overrides left out"),
    "fairness": ("fairness", ("from", "until"), "Time on call per person: work, sleep and off hours, nights, how even it is"),
    "changes": ("changes", ("from", "until"), "Every hand-off in a window: when, who went, who came"),
    "month": ("month", ("month",), "A month (`month=2026-11`) in whole weeks, each day with who holds it when"),
    "next-change": ("next_change", ("after",), "When the people change next, within 70 days"),
}


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
    next: str


class NewFeed(Body):
    schedule: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class FeedRow:
    id: str
    schedule: str
    person: str
    created_by: str
    created_ms: int
    used_ms: int
    """When a calendar last asked, to the hour."""


@dataclass(frozen=True, slots=True)
class FeedList:
    feeds: Sequence[FeedRow]
    next: str


class OnCall:
    """Handlers of `/oncall` and `/schedules`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, responder, path = Permission.VIEWER, Permission.RESPONDER, prefix + "/oncall/overrides"
        one, feeds = prefix + "/schedules/{name}", prefix + "/oncall/feeds"
        return [
            Endpoint(prefix + "/oncall", self.now, permission=viewer, answer=dict),
            Endpoint(path, self.overrides, permission=viewer, answer=OverrideList),
            Endpoint(path, self.add, methods=["POST"], permission=responder, body=NewOverride, answer=OverrideRow, status=201),
            Endpoint(path + "/{id}", self.remove, methods=["DELETE"], permission=responder, status=204),
            Endpoint(prefix + "/schedules/evaluate", self.evaluate, methods=["POST"], permission=viewer, body=dict, answer=dict),
            *(
                Endpoint(f"{one}/{word}", self._question(kind, names), permission=viewer, answer=dict, summary=summary)
                for word, (kind, names, summary) in _QUESTIONS.items()
            ),
            Endpoint(one + ".ics", self.calendar, permission=viewer),
            Endpoint(feeds, self.feeds, permission=viewer, answer=FeedList),
            Endpoint(feeds, self.make_feed, methods=["POST"], permission=viewer, body=NewFeed, answer=dict, status=201),
            Endpoint(feeds + "/{id}", self.revoke_feed, methods=["DELETE"], permission=responder, status=204),
            Endpoint("/calendar/{token}.ics", self.feed, permission=Permission.TOKEN, errors=Errors.PLAIN),
        ]

    async def now(self, request: Request) -> Response:
        """Schedules with who is on call, policies, people; `at` = who was on call then."""
        state = await self._desk.state.ask("oncall.state")
        if is_past(request):
            at_ms = moment_of(request, self._desk.now_ms())
            state = {**state, "schedules": [await self._then(row, at_ms, request) for row in state["schedules"]]}
        return await json_answer(request, state)

    async def _then(self, row: Mapping[str, Any], at_ms: int, request: Request) -> dict[str, Any]:
        question = {"schedule": row["schedule"], "q": "oncall_at", "at": format_instant(at_ms)}
        found = await self._desk.parts.core.command("schedule.query", question, actor_of(request))
        return {**row, "who": found["users"], "until_ms": 0}

    async def overrides(self, request: Request) -> Response:
        """Overrides, those to come first, then the latest past ones."""
        rows = await self._desk.parts.database.read(_rows)
        page, following = cut(rows, request.query_params, lambda row: (-row.end_ms, row.id), size=_SHOWN)
        return await json_answer(request, OverrideList(page, following))

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

    def _question(self, kind: str, names: tuple[str, ...]) -> Handler:
        async def ask(request: Request) -> Response:
            given = {name: request.query_params[name] for name in names if name in request.query_params}
            return await json_answer(request, await self._query(request, {"q": kind, **given}))

        return ask

    async def evaluate(self, request: Request) -> Response:
        """The same questions about a schedule given in the body: previews."""
        try:
            body = orjson.loads(await request.body())
        except orjson.JSONDecodeError as error:
            raise Refused(400, "bad_body", f"body: {error}") from None
        if not isinstance(body, dict):
            raise Refused(422, "bad_schedule", "body: expected an object with `schedule` and `queries`")
        # Pure, and possibly long: in a thread of this process, since paging must not wait for somebody's preview.
        return await json_answer(request, await asyncio.to_thread(schedule_evaluate, body))

    async def calendar(self, request: Request) -> Response:
        """The shifts as a calendar feed (iCalendar), from 30 days back to 90 ahead; `user` = only theirs."""
        found = await self._query(request, {"q": "ical", "user": request.query_params.get("user", "")})
        return await bytes_answer(request, found["text"].encode(), media_type="text/calendar; charset=utf-8")

    async def feeds(self, request: Request) -> Response:
        """Calendar addresses that work without signing in; their secrets are not kept."""
        found = await self._desk.parts.database.read(listed)
        page, following = cut(found, request.query_params, lambda row: (-row["created_ms"], row["id"]))
        return await json_answer(request, {"feeds": page, "next": following})

    async def make_feed(self, request: Request) -> Response:
        """A calendar address for a `schedule`, a `person` or both; it is in this answer and nowhere else."""
        body = await read_body(request, NewFeed)
        return await json_answer(
            request, await self._desk.parts.core.command("feed.create", body.model_dump(), actor_of(request)), status=201
        )

    async def revoke_feed(self, request: Request) -> Response:
        """End a calendar address."""
        await self._desk.parts.core.command("feed.revoke", {"id": request.path_params["id"]}, actor_of(request))
        return Response(status_code=204)

    async def feed(self, request: Request) -> Response:
        """The calendar behind a secret address."""
        found = await self._desk.parts.core.command("feed.read", {"token": request.path_params["token"]}, SYSTEM)
        return await bytes_answer(request, found["text"].encode(), media_type="text/calendar; charset=utf-8")

    async def _query(self, request: Request, question: dict[str, str]) -> Any:
        args = {"schedule": request.path_params["name"], **question}
        return await self._desk.parts.core.command("schedule.query", args, actor_of(request))


def _rows(tx: Connection) -> list[OverrideRow]:
    query = sa.select(schedule_overrides).order_by(schedule_overrides.c.end_ms.desc())
    names = OverrideRow.__dataclass_fields__
    return [OverrideRow(**{name: getattr(row, name) for name in names}) for row in tx.execute(query)]
