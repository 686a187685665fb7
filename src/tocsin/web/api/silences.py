"""Silences: list with what each covers now, set, expire, and a preview before saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import re2
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.alerts.preview import preview_silence
from tocsin.alerts.silence import silence_mark
from tocsin.errors import CommandError
from tocsin.model.labels import Labels, Matcher, MatchOp, all_match
from tocsin.model.route import Silence, SilenceState
from tocsin.state.schema import alerts, silences
from tocsin.web.answers import json_answer
from tocsin.web.api.alert_rows import preview
from tocsin.web.api.alerts import Alerts
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.rows import cut
from tocsin.web.api.shapes import MatcherRow, SilenceList, SilencePreview, SilenceRow
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, Instant, read_body
from tocsin.web.match import changed_meanwhile, check_match, seen_by, thing_answer
from tocsin.web.problem import Refused

_ORDER = {SilenceState.ACTIVE: 0, SilenceState.PENDING: 1, SilenceState.EXPIRED: 2}


class MatcherBody(Body):
    name: str
    value: str
    isRegex: bool = False  # noqa: N815
    isEqual: bool = True  # noqa: N815

    def matcher(self) -> Matcher:
        """Raises Refused 400 for a regular expression that RE2 refuses."""
        try:
            return Matcher(self.name, _OPS[self.isEqual, self.isRegex], self.value)
        except re2.error as error:
            raise Refused(400, "bad_matcher", f"{self.name}: {self.value!r} is not a regular expression: {error}") from None


_OPS = {
    (True, False): MatchOp.EQUAL,
    (False, False): MatchOp.NOT_EQUAL,
    (True, True): MatchOp.REGEX,
    (False, True): MatchOp.NOT_REGEX,
}


class SetSilence(Body):
    matchers: list[MatcherBody]
    starts_at_ms: Instant = 0
    ends_at_ms: Instant
    comment: str
    id: str = ""


class PreviewBody(Body):
    matchers: list[MatcherBody]


class Silences:
    """Handlers of `/silences`."""

    def __init__(self, desk: Desk, alerts_api: Alerts) -> None:
        self._desk = desk
        self._alerts = alerts_api

    def endpoints(self, prefix: str) -> list[Endpoint]:
        viewer, responder, path = Permission.VIEWER, Permission.RESPONDER, prefix + "/silences"
        return [
            Endpoint(path, self.list, permission=viewer, answer=SilenceList),
            Endpoint(path, self.set, methods=["POST"], permission=responder, answer=SilenceRow, body=SetSilence, status=201),
            Endpoint(
                path + "/preview", self.preview, methods=["POST"], permission=viewer, answer=SilencePreview, body=PreviewBody
            ),
            Endpoint(path + "/{id}", self.one, permission=viewer, answer=SilenceRow),
            Endpoint(path + "/{id}", self.expire, methods=["DELETE"], permission=responder, status=204, mark=self._mark),
        ]

    async def list(self, request: Request) -> Response:
        """Active, pending and lately expired silences; `at` = those that were active or pending then."""
        now_ms = self._desk.now_ms()
        at_ms = moment_of(request, now_ms)
        rows = await self._desk.parts.database.read(lambda tx: silence_rows(tx, at_ms))
        if is_past(request):
            rows = [row for row in rows if row.state != SilenceState.EXPIRED]
        page, following = cut(rows, request.query_params, _order)
        return await json_answer(request, SilenceList(now_ms, self._desk.hub.cursor, page, following))

    async def one(self, request: Request) -> Response:
        """One silence."""
        row = await self._row(request.path_params["id"])
        if row is None:
            raise Refused(404, "no_such_silence", f"there is no silence {request.path_params['id']!r}")
        return await thing_answer(request, row, row.etag)

    async def _mark(self, request: Request) -> str | None:
        row = await self._row(request.path_params["id"])
        return row.etag if row is not None else None

    async def _row(self, id_: str) -> SilenceRow | None:
        now_ms = self._desk.now_ms()
        rows = await self._desk.parts.database.read(lambda tx: silence_rows(tx, now_ms, only=id_)) if id_ else ()
        return rows[0] if rows else None

    async def set(self, request: Request) -> Response:
        """Create a silence, or change the one named by `id`."""
        body = await read_body(request, SetSilence)
        before = await self._row(body.id)
        check_match(request, before.etag if before is not None else None)
        if not body.comment.strip():
            raise Refused(400, "bad_body", "comment: say why, whoever is on call will read it")
        for item in body.matchers:
            item.matcher()
        args = {**body.model_dump(), **(seen_by(request) if body.id else {})}
        try:
            answer = await self._desk.parts.core.command("silence.set", args, actor_of(request))
        except CommandError as error:
            if error.status != 412:
                raise
            before = await self._row(body.id)
            raise changed_meanwhile(before.etag if before is not None else None) from error
        row = await self._row(str(answer["id"]))
        if row is None:
            raise Refused(404, "no_such_silence", f"there is no silence {answer['id']!r}")
        return await thing_answer(request, row, row.etag, status=201)

    async def expire(self, request: Request) -> Response:
        """End a silence now."""
        args = {"id": request.path_params["id"], **seen_by(request)}
        await self._desk.parts.core.command("silence.expire", args, actor_of(request))
        return Response(status_code=204)

    async def preview(self, request: Request) -> Response:
        """What these matchers cover now, and how much they covered within a week."""
        body = await read_body(request, PreviewBody)
        matchers = [item.matcher() for item in body.matchers]
        rules = await self._alerts.rules()
        now_ms = self._desk.now_ms()
        now, week = await self._desk.parts.database.read(lambda tx: preview(tx, matchers, rules, now_ms))
        shown = await self._desk.parts.database.read(lambda tx: preview_silence(tx, matchers, now_ms))
        covered = {known.fingerprint for known in shown.now}
        rows = [row for row in now if row.fingerprint in covered]
        return await json_answer(request, SilencePreview(rows, week, shown.warning, shown.spared))


def silence_rows(tx: Connection, now_ms: int, *, only: str = "") -> Sequence[SilenceRow]:
    """Rows, active ones first; each with how many firing alerts it covers."""
    still = sa.or_(alerts.c.ends_at_ms == 0, alerts.c.ends_at_ms > now_ms)
    firing = [Labels(labels) for labels in tx.execute(sa.select(alerts.c.labels).where(still)).scalars()]
    query = sa.select(silences).order_by(silences.c.ends_at_ms)
    if only:
        query = query.where(silences.c.id == only)
    rows = [_row(row, firing, now_ms) for row in tx.execute(query)]
    return sorted(rows, key=_order)


def _order(row: SilenceRow) -> tuple[int, int, str]:
    """Those that hold first, by when they end; ended ones newest first."""
    ended = row.state == SilenceState.EXPIRED
    return (_ORDER[SilenceState(row.state)], -row.ends_at_ms if ended else row.ends_at_ms, row.id)


def _row(row: Any, firing: Sequence[Labels], now_ms: int) -> SilenceRow:
    matchers = tuple(_matcher(item) for item in row.matchers)
    silence = Silence(row.id, matchers, row.starts_at_ms, row.ends_at_ms, row.created_by, row.comment)
    return SilenceRow(
        id=row.id,
        matchers=[
            MatcherRow(m.name, m.value, m.op in (MatchOp.REGEX, MatchOp.NOT_REGEX), m.op in (MatchOp.EQUAL, MatchOp.REGEX))
            for m in matchers
        ],
        starts_at_ms=row.starts_at_ms,
        ends_at_ms=row.ends_at_ms,
        created_by=row.created_by,
        comment=row.comment,
        state=silence.state(now_ms),
        matching_now=sum(all_match(matchers, labels) for labels in firing),
        etag=silence_mark(silence),
    )


def _matcher(item: Mapping[str, Any] | Sequence[str]) -> Matcher:
    """A matcher as the table keeps it: {name, op, value}, {name, value, isRegex, isEqual} or [name, op, value]."""
    if isinstance(item, Mapping):
        op = MatchOp(item["op"]) if "op" in item else _OPS[bool(item.get("isEqual", True)), bool(item.get("isRegex", False))]
        return Matcher(item["name"], op, item["value"])
    name, op_text, value = item
    return Matcher(name, MatchOp(op_text), value)
