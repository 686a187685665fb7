"""The notification log: every message with its attempts; retry and test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.state.schema import attempts, notifications
from tocsin.web.answers import json_answer
from tocsin.web.api.paging import page_of
from tocsin.web.api.shapes import Attempt, NotificationList, NotificationRow
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, read_body, row_number
from tocsin.web.problem import Refused

_FILTERS = ("channel", "state", "recipient", "kind")


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
            Endpoint(path + "/{id}/retry", self.retry, methods=["POST"], permission=responder, answer=NotificationRow),
        ]

    async def list(self, request: Request) -> Response:
        """Newest first; filters: incident, channel, state, recipient, kind."""
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
        rows = await self._desk.parts.database.read(lambda tx: notification_rows(tx, statement))
        following = page.next_after(len(rows), rows[-1].created_ms, rows[-1].id) if rows else ""
        return await json_answer(request, NotificationList(self._desk.now_ms(), self._desk.hub.cursor, rows, following))

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


def notification_rows(tx: Connection, statement: sa.Select[Any]) -> list[NotificationRow]:
    """Rows of a select over `notifications`, each with its attempts."""
    rows = list(tx.execute(statement))
    log: dict[str, list[Attempt]] = defaultdict(list)
    ids = [row.id for row in rows]
    for a in tx.execute(sa.select(attempts).where(attempts.c.notification.in_(ids)).order_by(attempts.c.n)):
        log[a.notification].append(Attempt(a.n, a.started_ms, a.ended_ms, a.outcome, a.status, a.reason))
    plain = [name for name in NotificationRow.__dataclass_fields__ if name != "attempt_log"]
    return [NotificationRow(**{name: getattr(row, name) for name in plain}, attempt_log=log[row.id]) for row in rows]
