"""A run of a check that somebody watches: each phase as it ends, then the result; lines of JSON.

{"run_id": ..., "location": ..., "doing": "connecting to 192.0.2.7:443", "phases": [{"name": "resolve", "ms": 12.1}]}
{"result": {...}}   or   {"error": {"code": ..., "message": ...}}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tocsin.errors import CommandError
from tocsin.web.answers import dumps
from tocsin.web.desk import Desk, actor_of

NDJSON = "application/x-ndjson"
_PATIENCE_S = 100.0
"""Longer than the core waits for a probe: it is the core that gives up."""


async def streamed_run(desk: Desk, request: Request) -> Response:
    """Begins the run; raises CommandError before the first line where there is no such check."""
    begun: dict[str, Any] = await desk.parts.core.command("check.begin", {"id": request.path_params["id"]}, actor_of(request))
    headers = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
    return StreamingResponse(_lines(desk, str(begun["run_id"])), media_type=NDJSON, headers=headers)


async def _lines(desk: Desk, run_id: str) -> AsyncIterator[bytes]:
    seen = -1
    while True:
        try:
            told: dict[str, Any] = await desk.parts.core.command(
                "check.follow", {"run_id": run_id, "seen": seen}, timeout_s=_PATIENCE_S
            )
        except CommandError as error:
            yield dumps({"error": {"code": error.code, "message": str(error)}}) + b"\n"
            return
        if told["result"] is not None:
            yield dumps({"result": told["result"]}) + b"\n"
            return
        seen = int(told["seen"])
        yield dumps({"run_id": run_id, **{name: told[name] for name in ("location", "doing", "phases")}}) + b"\n"
