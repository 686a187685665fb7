"""The notification log: every message with its attempts; retry and test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.incidents.questions import instant
from tocsin.state.schema import attempts, incidents, notification_texts, notifications
from tocsin.web.answers import json_answer
from tocsin.web.api.paging import page_of
from tocsin.web.api.shapes import Attempt, NotificationList, NotificationRow
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body, row_number
from tocsin.web.problem import Refused

_FILTERS = ("channel", "state", "recipient", "kind")
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationDetail(NotificationRow):
    """One message, with what it said."""

    body: str
    """What left for the provider last, as text; secrets and links that act are masked. Empty = nothing left, or long ago."""
    said_ms: int
    """When; 0 = there is no text."""
    template: str
    """Which parts of it are the operator's own words; empty = all of it is Tocsin's."""


class TestBody(Body):
    """Whom to send a test message: a person or a receiver."""

    user: str = ""
    receiver: str = ""
    contact: str = ""
    """With `user`: only this contact method, by its name."""


class Notifications:
    """Handlers of `/notifications`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        responder, path = Permission.RESPONDER, prefix + "/notifications"
        return [
            Endpoint(path, self.list, permission=Permission.VIEWER, answer=NotificationList),
            Endpoint(
                path + "/test", self.test, methods=["POST"], permission=responder, answer=list[NotificationRow], body=TestBody
            ),
            Endpoint(path + "/{id}", self.detail, permission=Permission.VIEWER, answer=NotificationDetail),
            Endpoint(path + "/{id}/retry", self.retry, methods=["POST"], permission=responder, answer=NotificationRow),
        ]

    async def list(self, request: Request) -> Response:
        """Newest first; filters: incident, channel, state, recipient, kind, `from` and `to` (when it was decided), `q` (text)."""
        query = request.query_params
        page = page_of(query)
        statement = page.narrow(sa.select(notifications), notifications.c.created_ms, notifications.c.id)
        if number := query.get("incident", ""):
            incident = row_number(number)
            if incident is None:
                raise Refused(400, "bad_incident", "incident: expected a number")
            statement = statement.where(notifications.c.incident == incident)
        for name in _FILTERS:
            if query.get(name):
                statement = statement.where(notifications.c[name].in_(query[name].split(",")))
        statement = _within(statement, query, self._desk.now_ms())
        rows = await self._desk.parts.database.read(lambda tx: notification_rows(tx, statement))
        following = page.next_after(len(rows), rows[-1].created_ms, rows[-1].id) if rows else ""
        return await json_answer(request, NotificationList(self._desk.now_ms(), self._desk.hub.cursor, rows, following))

    async def detail(self, request: Request) -> Response:
        """One message with its attempts, and what it said"""
        wanted = str(request.path_params["id"])
        c = notification_texts.c

        def read(tx: Connection) -> NotificationDetail | None:
            found = notification_rows(tx, sa.select(notifications).where(notifications.c.id == wanted))
            if not found:
                return None
            text = tx.execute(sa.select(c.body, c.t_ms, c.template).where(c.notification == wanted)).first()
            own = {name: getattr(found[0], name) for name in NotificationRow.__dataclass_fields__}
            body, said_ms, template = text if text is not None else ("", 0, "")
            return NotificationDetail(**own, body=body, said_ms=said_ms, template=template)

        answer = await self._desk.parts.database.read(read)
        if answer is None:
            raise Refused(404, "no_such_notification", f"there is no notification {wanted[:64]!r}")
        return await json_answer(request, answer)

    async def retry(self, request: Request) -> Response:
        """Send a failed message again."""
        notification_id = request.path_params["id"]
        await self._desk.parts.core.command("notification.retry", {"id": notification_id}, actor_of(request))
        rows = await self._rows([notification_id])
        if not rows:
            raise Refused(404, "no_such_notification", f"there is no notification {notification_id!r}")
        return await json_answer(request, rows[0])

    async def test(self, request: Request) -> Response:
        """Send a test message through every channel of a person or receiver, or one contact; what became of it."""
        body = await read_body(request, TestBody)
        name = body.user or body.receiver
        if not name:
            raise Refused(400, "bad_body", "expected `user` or `receiver`")
        args = {"name": name, "user": body.user, "receiver": body.receiver, "contact": body.contact}
        sent: list[Any] = await self._desk.parts.core.command("notification.test", args, actor_of(request))
        ids = [item if isinstance(item, str) else str(item["id"]) for item in sent]
        return await json_answer(request, await self._rows(ids))

    async def _rows(self, ids: Sequence[str]) -> Sequence[NotificationRow]:
        statement = sa.select(notifications).where(notifications.c.id.in_(ids)).order_by(notifications.c.created_ms)
        return await self._desk.parts.database.read(lambda tx: notification_rows(tx, statement))


def _within(statement: sa.Select[Any], query: Mapping[str, str], now_ms: int) -> sa.Select[Any]:
    """Only what was decided between `from` and `to`, and holds every word of `q`. Raises Refused 400, CommandError 422."""
    c, text = notifications.c, query.get("q", "")
    if len(text) > _LONGEST_TEXT:
        raise Refused(400, "bad_text", f"q: expected at most {_LONGEST_TEXT} characters")
    if query.get("from"):
        statement = statement.where(c.created_ms >= instant(query, "from", now_ms))
    if query.get("to"):
        statement = statement.where(c.created_ms <= instant(query, "to", now_ms))
    of_incident = sa.select(incidents.c.title).where(incidents.c.number == c.incident).scalar_subquery()
    told = (c.recipient, c.address, c.channel, c.reason, c.state_reason, c.kind, of_incident)
    for word in text.split():
        anywhere = sa.or_(*(column.icontains(word, autoescape=True) for column in told))
        number = row_number(word.removeprefix("#"))
        statement = statement.where(sa.or_(anywhere, c.incident == number) if number else anywhere)
    return statement


def notification_rows(tx: Connection, statement: sa.Select[Any]) -> list[NotificationRow]:
    """Rows of a select over `notifications`, each with its attempts."""
    rows = list(tx.execute(statement))
    log: dict[str, list[Attempt]] = defaultdict(list)
    ids = [row.id for row in rows]
    for a in tx.execute(sa.select(attempts).where(attempts.c.notification.in_(ids)).order_by(attempts.c.n)):
        log[a.notification].append(Attempt(a.n, a.started_ms, a.ended_ms, a.outcome, a.status, a.reason))
    plain = [name for name in NotificationRow.__dataclass_fields__ if name != "attempt_log"]
    return [NotificationRow(**{name: getattr(row, name) for name in plain}, attempt_log=log[row.id]) for row in rows]
