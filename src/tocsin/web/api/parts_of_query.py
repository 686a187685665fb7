"""`/query/parts`: a query taken apart, with what each part found and how long it took."""

from __future__ import annotations

from typing import Annotated

import pydantic
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import ParseError, QueryError
from tocsin.promql.explained import Part
from tocsin.web.answers import json_answer
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, Instant, read_body
from tocsin.web.problem import Refused


class PartsBody(Body):
    """A range query; `step_ms` 0 = at its end only."""

    query: str
    from_ms: Instant
    to_ms: Instant
    step_ms: Annotated[int, pydantic.Field(ge=0, le=1 << 40)] = 0


class QueryParts:
    """Handler of `/query/parts`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        path, viewer = prefix + "/query/parts", Permission.VIEWER
        return [Endpoint(path, self.parts, methods=["POST"], permission=viewer, body=PartsBody, answer=Part)]

    async def parts(self, request: Request) -> Response:
        """What each part of a query found, and how long it took."""
        body = await read_body(request, PartsBody)
        if len(body.query) > self._desk.settings.query_longest_text:
            raise Refused(400, "bad_query", f"query: longer than {self._desk.settings.query_longest_text} characters")
        start_ms, step_ms = (body.from_ms, body.step_ms) if body.step_ms else (body.to_ms, 1)
        engine = self._desk.light_engine
        try:
            found = await self._desk.queries.for_client(
                request, lambda stop: engine.explained(body.query, start_ms, body.to_ms, step_ms, cancelled=stop)
            )
        except ParseError as error:
            raise Refused(400, "bad_query", str(error)) from None
        except QueryError as error:
            raise Refused(422, "query_failed", str(error)) from None
        return await json_answer(request, found)
