"""The core's ear: commands, ingest and the stream of changes on a Unix socket (mode 0600)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tocsin.bus.client import IDLE_S
from tocsin.bus.wire import Change, CommandHandler, IngestHandler, IngestRequest, to_json
from tocsin.errors import CommandError, TocsinError
from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.model.event import Actor

log = get_log("bus")

_KEPT_CHANGES = 4096
_HEARTBEAT_S = 5.0

commands_total = Counter("tocsin_core_commands_total", "Commands answered by the core.", ["command", "outcome"])


class EmbeddedServer(uvicorn.Server):
    """uvicorn inside a loop of ours: signals belong to the process, not to the server.

    Set `should_exit` on the loop's thread. Nothing ticks meanwhile (uvicorn looks ten times a second whether to end, and makes
    the date of its answers): give it a configuration with `date_header=False`; `web.protocol` dates answers by itself.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._exit = asyncio.Event()
        super().__init__(config)

    @property
    def should_exit(self) -> bool:
        return self._exit.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._exit.set() if value else self._exit.clear()

    async def main_loop(self) -> None:
        self.server_state.default_headers = self.config.encoded_headers
        await self._exit.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def core_server(app: Starlette, socket: Path, *, log_level: str = "warning") -> EmbeddedServer:
    """Serves `app` on `socket`. Idle connections are the clients' to close (client.IDLE_S): a server that closed one first
    would reset the very next request on it, and somebody would read that the core is away."""
    config = uvicorn.Config(
        app,
        uds=str(socket),
        log_level=log_level,
        access_log=False,
        lifespan="off",
        ws="none",
        date_header=False,
        timeout_keep_alive=4 * IDLE_S,
        timeout_graceful_shutdown=2,
    )
    return EmbeddedServer(config)


class Changes:
    """Fan-out of changes to every stream; late readers catch up from the kept tail."""

    def __init__(self) -> None:
        self._kept: deque[Change] = deque(maxlen=_KEPT_CHANGES)
        self._last = 0
        self._wake = asyncio.Event()
        self._closed = False

    def close(self) -> None:
        """End every stream: the core stops."""
        self._closed = True
        self._wake.set()

    def __call__(self, topic: str, subject: str = "") -> None:
        """Say that something changed (call from the loop's thread)."""
        self._last += 1
        self._kept.append(Change(self._last, topic, subject))
        self._wake.set()
        self._wake = asyncio.Event()

    async def after(self, last_id: int) -> AsyncIterator[Change | None]:
        """Changes with an id above `last_id`, then new ones; None as heartbeat. An id from another life starts anew."""
        seen = last_id if last_id <= self._last else 0
        while not self._closed:
            wake = self._wake
            for change in [change for change in self._kept if change.id > seen]:
                seen = change.id
                yield change
            try:
                await asyncio.wait_for(wake.wait(), _HEARTBEAT_S)
            except TimeoutError:
                yield None


def core_app(commands: Mapping[str, CommandHandler], ingest: Mapping[str, IngestHandler], changes: Changes) -> Starlette:
    """The ASGI application behind the socket."""

    async def command(request: Request) -> Response:
        name = request.path_params["name"]
        handler = commands.get(name)
        if handler is None:
            return _error(404, "unknown_command", f"no such command: {name}")
        try:
            sent = orjson.loads(await request.body())
            result = await handler(sent["args"], Actor(**sent["actor"]))
        except CommandError as error:
            commands_total.inc(name, "refused")
            return _error(error.status, error.code, str(error))
        except TocsinError as error:
            commands_total.inc(name, "failed")
            return _error(400, "bad_request", str(error))
        except (KeyError, TypeError, ValueError) as error:
            log.exception("command failed", command=name)
            commands_total.inc(name, "failed")
            return _error(400, "bad_request", f"{name}: {type(error).__name__}: {error}")
        commands_total.inc(name, "ok")
        return Response(to_json({"result": result}), media_type="application/json")

    async def push(request: Request) -> Response:
        handler = ingest.get(request.path_params["kind"])
        if handler is None:
            return Response("no such ingest\n", 404)
        headers = {k.removeprefix("x-sent-"): v for k, v in request.headers.items() if k.startswith("x-sent-")}
        actor = Actor(**orjson.loads(request.headers.get("x-actor", '{"kind":"integration","name":"push"}')))
        path = unquote(request.headers.get("x-path", ""))
        answer = await handler(IngestRequest(await request.body(), headers, dict(request.query_params), path, actor))
        sent_back = {f"x-sent-{k}": v for k, v in answer.headers.items()}
        return Response(answer.body, answer.status, media_type=answer.content_type, headers=sent_back)

    async def stream(request: Request) -> Response:
        after = re.sub(r"\D", "", request.query_params.get("after", "0")) or "0"

        async def lines() -> AsyncIterator[bytes]:
            async for change in changes.after(int(after)):
                yield (orjson.dumps(change) if change else b"{}") + b"\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def health(_request: Request) -> Response:
        return Response("ok\n")

    return Starlette(
        routes=[
            Route("/command/{name}", command, methods=["POST"]),
            Route("/ingest/{kind:path}", push, methods=["POST"]),
            Route("/stream", stream),
            Route("/health", health),
        ]
    )


def _error(status: int, code: str, message: str) -> Response:
    return Response(orjson.dumps({"error": {"code": code, "message": message}}), status, media_type="application/json")
