"""`/api/v1/admin/tsdb/*`: deleting series, freeing their room, snapshots. Off unless `web.admin_api` is set."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import CommandError, ParseError
from tocsin.model.labels import Matcher, quote
from tocsin.promql.parser import parse_selector
from tocsin.web.answers import prometheus_answer
from tocsin.web.desk import Desk, actor_of
from tocsin.web.forms import Parameters
from tocsin.web.problem import Refused, prometheus_error
from tocsin.web.prometheus.params import MAX_MS, MIN_MS, BadParameter, selector_texts, time_parameter

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}


class Admin:
    """Handlers of the admin routes; the core does the work."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def delete_series(self, request: Request) -> Response:
        """Delete samples of the series that match, within a span."""
        self._check_enabled()
        parameters = await Parameters.of(request)
        texts = selector_texts(parameters)
        if not texts:
            raise Refused(400, "bad_data", "no match[] parameter provided")
        start_ms, end_ms = time_parameter(parameters, "start", MIN_MS), time_parameter(parameters, "end", MAX_MS)
        sets = [[(one.name, one.op.value, one.value) for one in _selector(text)] for text in texts]
        return await self._done(request, "store.delete", {"sets": sets, "start_ms": start_ms, "end_ms": end_ms})

    async def clean_tombstones(self, request: Request) -> Response:
        """Free the room of deleted samples."""
        self._check_enabled()
        return await self._done(request, "store.clean", {})

    async def snapshot(self, request: Request) -> Response:
        """A copy of the store in the folder `snapshots` of the data directory."""
        self._check_enabled()
        text = (await Parameters.of(request)).get("skip_head")
        if text and text not in _TRUE | _FALSE:
            problem = f"unable to parse boolean: strconv.ParseBool: parsing {quote(text)}: invalid syntax"
            raise BadParameter("skip_head", problem)
        return await self._done(request, "store.snapshot", {"skip_head": text in _TRUE})

    def _check_enabled(self) -> None:
        if not self._desk.settings.admin_api:
            raise Refused(503, "unavailable", "admin APIs disabled")

    async def _done(self, request: Request, command: str, args: dict[str, Any]) -> Response:
        """204, or the answer of the core when it has something to say."""
        try:
            answer = await self._desk.parts.core.command(command, args, actor_of(request))
        except CommandError as error:
            kind = "unavailable" if error.status == 503 else "internal"
            return prometheus_error(error.status, kind, str(error))
        return await prometheus_answer(request, answer) if answer else Response(status_code=204)


def _selector(text: str) -> list[Matcher]:
    try:
        return list(parse_selector(text))
    except ParseError as error:
        raise BadParameter("match[]", str(error)) from None
