"""`/-/healthy`, `/-/ready`, `/-/reload`, `/metrics`."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tocsin.errors import CommandError
from tocsin.formats.exposition import write_text
from tocsin.metrics import REGISTRY
from tocsin.web.answers import bytes_answer
from tocsin.web.desk import Desk, actor_of
from tocsin.web.endpoint import Endpoint, Errors, Permission

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """Handlers for those who watch us."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        public, admin = Permission.PUBLIC, Permission.ADMIN
        plain = Errors.PLAIN
        return [
            Endpoint("/-/healthy", self.healthy, permission=public, errors=plain),
            Endpoint("/-/ready", self.ready, permission=public, errors=plain),
            Endpoint("/-/reload", self.reload, methods=["POST", "PUT"], permission=admin, errors=plain),
            Endpoint("/metrics", self.metrics, permission=Permission.LOOPBACK_READ, errors=plain),
        ]

    async def healthy(self, request: Request) -> Response:
        """This process answers."""
        return PlainTextResponse("Tocsin is Healthy.\n")

    async def ready(self, request: Request) -> Response:
        """Rules evaluate and queries are answered."""
        try:
            status = await self._desk.state.ask("status.brief")
            now_ms = self._desk.now_ms()
            await asyncio.wait_for(self._desk.queries.instant("vector(1)", now_ms), 5)
        except CommandError as error:
            return PlainTextResponse(f"Service Unavailable: {error}\n", 503)
        except TimeoutError:
            return PlainTextResponse("Service Unavailable: queries are not answered in time\n", 503)
        if not status.get("ready", True):
            return PlainTextResponse("Service Unavailable: rules have not been evaluated yet\n", 503)
        return PlainTextResponse("Tocsin is Ready.\n")

    async def reload(self, request: Request) -> Response:
        """Read the configuration again; 400 with what is wrong, and the old one stays."""
        answer = await self._desk.parts.core.command("config.reload", {}, actor_of(request))
        problems = [problem for problem in (answer or {}).get("problems", ()) if not problem.get("warning")]
        if problems:
            lines = [f"{p['place']}: {p['path']}: {p['message']}" for p in problems]
            return PlainTextResponse("failed to reload config:\n" + "\n".join(lines) + "\n", 400)
        return PlainTextResponse("")

    async def metrics(self, request: Request) -> Response:
        """Metrics of every process; of this one alone while the core is away."""
        try:
            text = str(await self._desk.parts.core.command("process.exposition")).encode()
        except CommandError:
            text = write_text(REGISTRY.collect())
        return await bytes_answer(request, text, media_type=_TEXT)
