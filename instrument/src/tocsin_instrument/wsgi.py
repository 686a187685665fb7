"""WSGI middleware: `app = Metrics(app)`. The framework says the route: see flask.py, django.py; else pass `route`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from tocsin_instrument.exposition import exposition
from tocsin_instrument.http_server import finished, known_method, started

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

ROUTE_KEY = "tocsin.http_route"
"""Frameworks put the matched template here, in the request's environ."""


def route_of(environ: Environ) -> str:
    return str(environ.get(ROUTE_KEY, ""))


class Metrics:
    """Counts and times every request up to the end of its body; answers `metrics_path` itself (None = do not)."""

    def __init__(self, app: App, *, metrics_path: str | None = "/metrics", route: Callable[[Environ], str] = route_of) -> None:
        self._app = app
        self._metrics_path = metrics_path
        self._route = route

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == self._metrics_path:
            body, content_type = exposition()
            start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
            return [body]
        return _Request(self._app, environ, start_response, self._route)


class _Request:
    """One request: iterating sends its body, closing ends the measurement."""

    def __init__(self, app: App, environ: Environ, start_response: StartResponse, route: Callable[[Environ], str]) -> None:
        self._environ = environ
        self._start_response = start_response
        self._route = route
        self._method = known_method(environ.get("REQUEST_METHOD", ""))
        self._status = 500
        self._over = False
        self._active = started(self._method)
        self._start = perf_counter()
        try:
            self._body = app(environ, self._watched)
        except BaseException:
            self._end()
            raise

    def _watched(self, status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        self._status = int(status[:3])
        return self._start_response(status, headers, *more)

    def __iter__(self) -> Iterator[bytes]:
        # Over at the end of the body as well as at close(): not every server or test client closes.
        try:
            yield from self._body
        finally:
            self._end()

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._end()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._active.dec()
            finished(self._method, self._route(self._environ), self._status, perf_counter() - self._start)
