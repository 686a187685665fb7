"""What responders do on public status pages: publish, correct and take back updates. The pages themselves: statuspage.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pydantic
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import CommandError
from tocsin.incidents import publish, subscribers
from tocsin.web.answers import json_answer
from tocsin.web.api.rows import cut
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body
from tocsin.web.match import thing_answer, version_of
from tocsin.web.problem import Refused
from tocsin.web.statuspage import pages_of
from tocsin.web.statuspage_view import View, read_view

State = Literal["investigating", "identified", "monitoring", "resolved"]
Components = dict[str, Literal["operational", "degraded", "down", "maintenance"]]
_Number = pydantic.Field(0, ge=0, le=1 << 53)


class NewUpdate(Body):
    """Written for the public. Of an `incident`, of a `story` without one, or (neither) the first of a new story."""

    state: State
    text: str
    title: str = ""
    """As in the update before when left out."""
    incident: int = _Number
    story: int = _Number
    components: Components = pydantic.Field(default_factory=dict)


class UpdateChanges(Body):
    """What is left out stays. Nobody is mailed; the page says when it was edited."""

    state: State | None = None
    text: str | None = None
    title: str | None = None
    components: Components | None = None


@dataclass(frozen=True, slots=True)
class UpdateRow:
    id: int
    state: str
    title: str
    text: str
    t_ms: int
    edited_ms: int
    components: Mapping[str, str]
    incident: int
    story: int
    etag: str


@dataclass(frozen=True, slots=True)
class StoryRow:
    title: str
    state: str
    open: bool
    incident: int
    """0 = it is about no incident; then `story` names it."""
    story: int
    updates: Sequence[UpdateRow]
    """Newest first."""


@dataclass(frozen=True, slots=True)
class ComponentRow:
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class PlannedRow:
    text: str
    components: Sequence[str]
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class StatusPageRow:
    slug: str
    title: str
    url: str
    mails: bool
    """Visitors may ask for mails: `channels: email:` says how mail leaves."""
    webhooks: bool
    """Visitors may have it posted to a webhook of theirs: `webhooks:` of the page."""
    followers: int
    """Visitors who confirmed; who they are is shown to nobody."""
    components: Sequence[ComponentRow]
    stories: Sequence[StoryRow]
    planned: Sequence[PlannedRow]


@dataclass(frozen=True, slots=True)
class StatusPageList:
    now_ms: int
    cursor: int
    pages: Sequence[StatusPageRow]
    next: str


class StatusPagesApi:
    """Handlers of `/status-pages`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, responder, path = Permission.VIEWER, Permission.RESPONDER, prefix + "/status-pages"
        updates, one = path + "/{slug}/updates", path + "/{slug}/updates/{id:int}"
        return [
            Endpoint(path, self.list, permission=viewer, answer=StatusPageList),
            Endpoint(updates, self.publish, methods=["POST"], permission=responder, body=NewUpdate, answer=UpdateRow, status=201),
            Endpoint(one, self.update, permission=viewer, answer=UpdateRow),
            Endpoint(
                one,
                self.edit,
                methods=["PATCH"],
                permission=responder,
                body=UpdateChanges,
                answer=UpdateRow,
                mark=self._mark,
            ),
            Endpoint(one, self.withdraw, methods=["DELETE"], permission=responder, status=204, mark=self._mark),
        ]

    async def list(self, request: Request) -> Response:
        """Public status pages: components, what is published, planned work, how many follow by mail."""
        now_ms, found = self._desk.now_ms(), await pages_of(self._desk)
        shown, following = cut(list(found.items()), request.query_params, lambda item: (item[0],))
        rows = await self._desk.parts.database.read(lambda tx: [self._row(tx, slug, page, now_ms) for slug, page in shown])
        return await json_answer(request, StatusPageList(now_ms, self._desk.hub.cursor, rows, following))

    async def publish(self, request: Request) -> Response:
        """Tell the public; who follows the page by mail is written to."""
        slug, body = request.path_params["slug"], await read_body(request, NewUpdate)
        if body.incident and body.story:
            raise Refused(400, "bad_body", "story: an update belongs to an incident or to a story without one, not to both")
        args = body.model_dump(exclude={"incident", "story"}) | {"page": slug}
        core, actor = self._desk.parts.core, actor_of(request)
        if body.incident:
            await core.command("incident.publish", {**args, "number": body.incident}, actor)
        else:
            await core.command("statuspage.publish", {**args, "story": body.story}, actor)
        found = await self._desk.parts.database.read(
            lambda tx: publish.latest(tx, slug, incident=body.incident, story=body.story, title=body.title)
        )
        if found is None:
            raise Refused(404, "no_such_update", "the update was taken back meanwhile")
        return await thing_answer(request, row_of(found), row_of(found).etag, status=201)

    async def update(self, request: Request) -> Response:
        """One published update."""
        row = await self._one(request)
        return await thing_answer(request, row, row.etag)

    async def edit(self, request: Request) -> Response:
        """Correct an update in its place."""
        body = await read_body(request, UpdateChanges)
        args = {**self._named(request), **body.model_dump(exclude_none=True)}
        await self._desk.parts.core.command("statuspage.edit", args, actor_of(request))
        return await self.update(request)

    async def withdraw(self, request: Request) -> Response:
        """Take an update off its page and feed."""
        await self._desk.parts.core.command("statuspage.withdraw", self._named(request), actor_of(request))
        return Response(status_code=204)

    def _named(self, request: Request) -> dict[str, Any]:
        """The update, and the version that the person looked at: the core holds it against the row it changes."""
        return {"page": request.path_params["slug"], "update": request.path_params["id"], **version_of(request)}

    async def _mark(self, request: Request) -> str | None:
        try:
            return (await self._one(request)).etag
        except Refused:
            return None

    async def _one(self, request: Request) -> UpdateRow:
        slug, number = request.path_params["slug"], request.path_params["id"]
        if number >= 1 << 53:
            raise Refused(404, "no_such_update", "there is no such update")
        try:
            return row_of(await self._desk.parts.database.read(lambda tx: publish.one(tx, slug, number)))
        except CommandError as error:
            raise Refused(error.status, error.code, str(error)) from None

    def _row(self, tx: Connection, slug: str, page: Mapping[str, Any], now_ms: int) -> StatusPageRow:
        view = read_view(tx, slug, page, now_ms, stale=False)
        return StatusPageRow(
            slug,
            view.title,
            self._desk.path(f"/status/{slug}"),
            view.mails,
            view.webhooks,
            subscribers.count(tx, slug),
            [ComponentRow(one.name, one.state) for one in view.components],
            _stories(view),
            [PlannedRow(one.text, one.components, one.start_ms, one.end_ms) for one in view.planned],
        )


def _stories(view: View) -> list[StoryRow]:
    return [
        StoryRow(one.title, one.state, one.open, one.updates[0].incident, one.updates[0].story, [row_of(u) for u in one.updates])
        for one in view.stories
    ]


def row_of(update: publish.Update) -> UpdateRow:
    return UpdateRow(
        update.id,
        update.state,
        update.title,
        update.text,
        update.t_ms,
        update.edited_ms,
        update.components,
        update.incident,
        update.story,
        str(update.version),
    )
