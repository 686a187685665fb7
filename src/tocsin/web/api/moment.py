"""`?at=`: the moment that a request asks about."""

from __future__ import annotations

from starlette.requests import Request

from tocsin.incidents.questions import instant
from tocsin.web.problem import Refused


def moment_of(request: Request, now_ms: int) -> int:
    """`?at=` (RFC 3339 or ms); now when left out. Raises Refused 400 for a time to come."""
    at_ms = instant(dict(request.query_params), "at", now_ms)
    if at_ms > now_ms + 60_000:
        raise Refused(400, "bad_time", "at: lies in the future; what will be is not known")
    return min(at_ms, now_ms)


def is_past(request: Request) -> bool:
    return bool(request.query_params.get("at"))
