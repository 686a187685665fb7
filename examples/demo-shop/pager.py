"""Where the demo's pages arrive: takes Alertmanager's webhook body and prints one line per alert."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def page(request: Request) -> Response:
    body = await request.json()
    for alert in body.get("alerts", []):
        labels, notes = alert.get("labels", {}), alert.get("annotations", {})
        print(f"PAGER: [{alert.get('status')}] {notes.get('summary') or labels.get('alertname')}", flush=True)  # noqa: T201
    return PlainTextResponse("ok\n")


app = Starlette(routes=[Route("/", page, methods=["POST"])])
