"""Django: the middleware `MetricsMiddleware` (first in the list) and the view `metrics`. Synchronous and asynchronous."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from tocsin_instrument.exposition import exposition
from tocsin_instrument.http_server import finished, known_method, started


class MetricsMiddleware:
    """Counts and times every request; the route is the URL pattern that matched."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            from asgiref.sync import markcoroutinefunction

            markcoroutinefunction(self)
            self._asynchronous = True
        else:
            self._asynchronous = False

    def __call__(self, request: Any) -> Any:
        if self._asynchronous:
            return self._answer_later(request)
        method, active, start, status = known_method(request.method), started(known_method(request.method)), perf_counter(), 500
        try:
            response = self._get_response(request)
            status = response.status_code
            return response
        finally:
            active.dec()
            finished(method, _route(request), status, perf_counter() - start)

    async def _answer_later(self, request: Any) -> Any:
        method, active, start, status = known_method(request.method), started(known_method(request.method)), perf_counter(), 500
        try:
            response = await self._get_response(request)
            status = response.status_code
            return response
        finally:
            active.dec()
            finished(method, _route(request), status, perf_counter() - start)


def _route(request: Any) -> str:
    route = getattr(getattr(request, "resolver_match", None), "route", None)
    return "/" + str(route).lstrip("^/") if route is not None else ""


def metrics(_request: Any) -> Any:
    """The view for `path("metrics", tocsin_instrument.django.metrics)`."""
    from django.http import HttpResponse

    body, content_type = exposition()
    return HttpResponse(body, content_type=content_type)
