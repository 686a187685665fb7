"""`/api/v1/query`, `query_range`, `query_exemplars`, `format_query`, `parse_query`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import ExecutionError, ParseError, QueryError
from tocsin.formats.prometheus_json import encode_exemplars
from tocsin.promql.ast import Expr, selectors
from tocsin.promql.printer import format_query
from tocsin.tsdb.query import Reading
from tocsin.web.answers import bytes_answer, prometheus_answer, stream_answer
from tocsin.web.desk import Desk
from tocsin.web.forms import Parameters
from tocsin.web.problem import Refused, prometheus_error
from tocsin.web.prometheus.ast_json import ast_json
from tocsin.web.prometheus.job import QueryJob
from tocsin.web.prometheus.params import (
    MAX_MS,
    MIN_MS,
    BadParameter,
    duration_parameter,
    limit_parameter,
    lookback_parameter,
    range_parameters,
    time_parameter,
)

PER_STEP = "promql-per-step-stats"
_STATUS = {"bad_data": 400, "execution": 422, "timeout": 503, "canceled": 499, "internal": 500}
_TOO_MANY = "query processing would load too many samples"


class Queries:
    """Handlers of the query routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._engine = desk.parts.engine

    async def query(self, request: Request) -> Response:
        """One evaluation at one instant; `highest=N`, `lowest=N` (ours): of more series these, and an info says of how many."""
        parameters = await Parameters.of(request)
        limit = limit_parameter(parameters)
        t_ms = time_parameter(parameters, "time", self._desk.now_ms())
        return await self._answer(request, self._job(parameters, limit, 0, t_ms, 0))

    async def query_range(self, request: Request) -> Response:
        """Evaluations from start to end, step apart; ours: `highest=N` by the last value, `peaks=N` points with the extremes."""
        parameters = await Parameters.of(request)
        limit = limit_parameter(parameters)
        return await self._answer(request, self._job(parameters, limit, *range_parameters(parameters)))

    def _job(self, parameters: Parameters, limit: int, start_ms: int, end_ms: int, step_ms: int) -> QueryJob:
        return QueryJob(
            timeout_s=duration_parameter(parameters, "timeout", 0) / 1000,
            query=self._text(parameters),
            lookback_ms=lookback_parameter(parameters),
            start_ms=start_ms,
            end_ms=end_ms,
            step_ms=step_ms,
            limit=limit,
            highest=limit_parameter(parameters, "highest"),
            lowest=limit_parameter(parameters, "lowest"),
            peaks=limit_parameter(parameters, "peaks"),
            stats=bool(parameters.get("stats")),
            per_step=parameters.get("stats") == "all" and PER_STEP in self._desk.settings.query_features,
        )

    async def _answer(self, request: Request, job: QueryJob) -> Response:
        """Evaluate and encode in one thread, or, beyond what that may hold, in the worker; the loop only passes bytes on."""
        timeout_ms = round(job.timeout_s * 1000)
        try:
            try:
                body = await self._desk.queries.for_client(request, self._light(job), timeout_ms=timeout_ms, same=job.kin)
            except ExecutionError as error:
                if self._desk.heavy is None or not str(error).startswith(_TOO_MANY):
                    raise
                longest_s = self._desk.settings.query_timeout_ms / 1000
                work = self._desk.heavy.answer(job, timeout_s=min(job.timeout_s or longest_s, longest_s))
                return stream_answer(request, await self._desk.queries.unless_left(request, work))
        except ParseError as error:
            raise BadParameter("query", str(error)) from None
        except QueryError as error:
            if str(error).startswith("invalid expression type"):
                raise BadParameter("query", str(error)) from None
            return prometheus_error(_STATUS.get(error.error_type, 422), error.error_type, str(error))
        if isinstance(body, bytes):
            return await bytes_answer(request, body, tagged=False)
        return stream_answer(request, self._desk.queries.pieces(body))

    def _light(self, job: QueryJob) -> Callable[[threading.Event], bytes | Iterator[bytes]]:
        engine = self._desk.light_engine

        def work(stop: threading.Event) -> bytes | Iterator[bytes]:
            return job.encoded(job.run(engine, stop))

        return work

    async def exemplars(self, request: Request) -> Response:
        """Exemplars of the series that a query selects.

        Grafana probes with instants in milliseconds; they are read as seconds and simply lie in the far future.
        """
        parameters = await Parameters.of(request)
        start_ms, end_ms = time_parameter(parameters, "start", MIN_MS), time_parameter(parameters, "end", MAX_MS)
        if end_ms < start_ms:
            raise Refused(400, "bad_data", "end timestamp must not be before start timestamp")
        try:
            expr = self._engine.parse(self._text(parameters))
        except ParseError as error:
            raise Refused(400, "bad_data", str(error)) from None
        reader, sets = self._desk.parts.reader, [selector.matchers for selector in selectors(expr)]
        if not sets:
            return Response(status_code=204)
        if not isinstance(reader, Reading):
            return await prometheus_answer(request, [])
        found = await self._desk.queries.for_client(request, lambda _stop: reader.exemplars(sets, start_ms, end_ms))
        return await bytes_answer(request, encode_exemplars(found))

    async def format_query(self, request: Request) -> Response:
        """The query, laid out."""
        return await prometheus_answer(request, format_query(self._parse(await Parameters.of(request))))

    async def parse_query(self, request: Request) -> Response:
        """The query's syntax tree."""
        tree = ast_json(self._parse(await Parameters.of(request)))
        try:
            return await prometheus_answer(request, tree)
        except orjson.JSONEncodeError:  # JSON ends at some 250 levels; the engine does not
            raise BadParameter("query", "nested too deeply to be shown as a tree") from None

    def _parse(self, parameters: Parameters) -> Expr:
        try:
            return self._engine.parse(self._text(parameters))
        except ParseError as error:
            raise BadParameter("query", str(error)) from None

    def _text(self, parameters: Parameters) -> str:
        text = parameters.get("query")
        if len(text) > self._desk.settings.query_longest_text:
            raise BadParameter("query", f"longer than {self._desk.settings.query_longest_text} characters")
        return text
