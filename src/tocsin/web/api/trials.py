"""`POST /backtest`: what a rule that somebody is writing would have done."""

from __future__ import annotations

import threading
import zoneinfo

import pydantic
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import ExecutionError, ParseError
from tocsin.promql.parser import parse
from tocsin.rules.native import native_of
from tocsin.web.answers import bytes_answer, stream_answer
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, Instant, read_body
from tocsin.web.problem import Refused
from tocsin.web.trial_job import TrialAnswer, TrialJob

_SHORTEST_INTERVAL_MS = 1_000
_LONGEST_MS = 400 * 86_400_000
_MOST_EVALUATIONS = 2_000_000


class TrialBody(Body):
    """The rule as it stands in the form, and the stretch of history."""

    expr: str = pydantic.Field(min_length=1, max_length=100_000)
    from_ms: Instant
    to_ms: Instant
    for_ms: int = pydantic.Field(0, ge=0, le=_LONGEST_MS)
    keep_firing_for_ms: int = pydantic.Field(0, ge=0, le=_LONGEST_MS)
    settings: str = pydantic.Field("", max_length=20_000)
    """The rule's annotation `tocsin` as it stands in the file: hold, clear, clear_for, min_traffic, ..."""
    interval_ms: int = pydantic.Field(15_000, ge=_SHORTEST_INTERVAL_MS, le=86_400_000)
    sweep: bool = False
    """Also how often it would have fired with other thresholds."""
    zone: str = "UTC"
    """Says when it is night."""


class Trials:
    """Handler of `/backtest`. The work is done in the worker for heavy queries, where it can be killed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [
            Endpoint(
                prefix + "/backtest",
                self.backtest,
                methods=["POST"],
                permission=Permission.VIEWER,
                body=TrialBody,
                answer=TrialAnswer,
            )
        ]

    async def backtest(self, request: Request) -> Response:
        """Replay a rule over stored history: when it would have fired, how often, at what hour."""
        body = await read_body(request, TrialBody)
        job = _job(body)
        try:
            if self._desk.heavy is not None:
                timeout_s = self._desk.settings.query_timeout_ms / 1000
                return stream_answer(request, await self._desk.heavy.answer(job, timeout_s=timeout_s))
            engine = self._desk.light_engine

            def work(stop: threading.Event) -> bytes:
                return job.answered(engine, stop)

            return await bytes_answer(request, await self._desk.queries.for_client(request, work))
        except ExecutionError as error:
            raise Refused(422, "backtest_failed", str(error)) from None


def _job(body: TrialBody) -> TrialJob:
    """Raises Refused."""
    if body.to_ms <= body.from_ms:
        raise Refused(400, "bad_window", "expected from_ms before to_ms")
    if (body.to_ms - body.from_ms) // body.interval_ms > _MOST_EVALUATIONS:
        raise Refused(400, "bad_window", f"more than {_MOST_EVALUATIONS} evaluations; ask for less time or a longer interval")
    try:
        zoneinfo.ZoneInfo(body.zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(400, "bad_zone", f"zone: {body.zone!r} is no time zone such as Europe/Berlin") from None
    try:
        parse(body.expr)
    except ParseError as error:
        raise Refused(400, "bad_query", str(error)) from None
    try:
        native_of(body.settings, body.expr)
    except ParseError as error:
        raise Refused(400, "bad_settings", f"settings: {error}") from None
    return TrialJob(
        body.expr,
        body.from_ms,
        body.to_ms,
        body.for_ms,
        body.keep_firing_for_ms,
        body.interval_ms,
        body.sweep,
        body.zone,
        body.settings,
    )
