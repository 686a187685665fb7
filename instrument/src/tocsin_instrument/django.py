"""Django: the middleware `MetricsMiddleware` (first in the list) and the view `metrics`. Synchronous and asynchronous.

With the middleware every query is timed, and the connection pool of a PostgreSQL database (`OPTIONS: {"pool": True}`) watched.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from tocsin_instrument import psycopg
from tocsin_instrument.database import operation_duration, operation_of
from tocsin_instrument.exposition import exposition
from tocsin_instrument.http_server import finished, known_method, started


class MetricsMiddleware:
    """Counts and times every request; the route is the URL pattern that matched."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        instrument_databases()
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


def instrument_databases() -> None:
    """Time the queries of every database connection from now on; where there is no middleware (workers), call it once."""
    from django.db import connections
    from django.db.backends.signals import connection_created

    connection_created.connect(_connected, weak=False, dispatch_uid="tocsin_instrument")
    for connection in connections.all(initialized_only=True):
        _connected(connection=connection)


def _connected(connection: Any, **_more: Any) -> None:
    if _timed not in connection.execute_wrappers:
        connection.execute_wrappers.append(_timed)
    pool = getattr(connection, "pool", None)
    if pool is not None and not hasattr(pool, "tocsin_watched"):
        pool.tocsin_watched = True
        psycopg.watch(pool, name=connection.alias, queries=False)


def _timed(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    connection, start = context["connection"], perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        database = str(connection.settings_dict.get("NAME") or "")
        operation_duration.labels(connection.vendor, operation_of(str(sql)), database).observe(perf_counter() - start)


def _route(request: Any) -> str:
    route = getattr(getattr(request, "resolver_match", None), "route", None)
    return "/" + str(route).lstrip("^/") if route is not None else ""


def metrics(_request: Any) -> Any:
    """The view for `path("metrics", tocsin_instrument.django.metrics)`."""
    from django.http import HttpResponse

    body, content_type = exposition()
    return HttpResponse(body, content_type=content_type)
