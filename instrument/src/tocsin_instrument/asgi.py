"""ASGI middleware: `app = Metrics(app)`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from tocsin_instrument.exposition import exposition
from tocsin_instrument.http_server import finished, known_method, started

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def route_of(scope: Scope) -> str:
    """The template that a Starlette-like router left in the scope; empty where nothing matched."""
    path = getattr(scope.get("route"), "path", None)
    if not path:
        return ""
    # A mounted application's route begins at its mount point, which the router keeps as the root path.
    root: str = scope.get("app_root_path", "") or ""
    mounted: str = (scope.get("root_path", "") or "")[len(root) :]
    return f"{mounted}{path}" if mounted else str(path)


class Metrics:
    """Counts and times every HTTP request; answers `metrics_path` itself (None = do not)."""

    def __init__(self, app: App, *, metrics_path: str | None = "/metrics", route: Callable[[Scope], str] = route_of) -> None:
        self._app = app
        self._metrics_path = metrics_path
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == self._metrics_path:
            await _answer(send)
            return
        method = known_method(scope["method"])
        status = 500  # an application that raises before it answers

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        active = started(method)
        start = perf_counter()
        try:
            await self._app(scope, receive, watched)
        finally:
            active.dec()
            finished(method, self._route(scope), status, perf_counter() - start)


async def _answer(send: Send) -> None:
    body, content_type = exposition()
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
