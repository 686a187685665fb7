"""Outgoing HTTP: requests, httpx and aiohttp."""

from __future__ import annotations

from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import Histogram

from tocsin_instrument.http_server import BUCKETS, known_method

request_duration = Histogram(
    "http_client_request_duration_seconds",
    "Duration of outgoing HTTP requests; status 0 = no answer.",
    ["server_address", "http_request_method", "http_response_status_code"],
    buckets=BUCKETS,
)


def finished(host: str, method: str, status: int, seconds: float) -> None:
    request_duration.labels(host, known_method(method.upper()), str(status)).observe(seconds)


def instrument_requests() -> None:
    """Time every call made with `requests`, wherever in the process."""
    from requests.sessions import Session

    if getattr(Session.send, "_tocsin", False):
        return
    original = Session.send

    def send(self: Any, request: Any, **options: Any) -> Any:
        start, status = perf_counter(), 0
        try:
            response = original(self, request, **options)
            status = response.status_code
            return response
        finally:
            finished(urlsplit(request.url).hostname or "", request.method or "", status, perf_counter() - start)

    send._tocsin = True  # type: ignore[attr-defined]
    Session.send = send  # type: ignore[method-assign, unused-ignore]


def instrument_httpx(client: Any) -> None:
    """Time every call of this `httpx.Client` or `httpx.AsyncClient`."""
    original = client.send

    async def later(request: Any, **options: Any) -> Any:
        start, status = perf_counter(), 0
        try:
            response = await original(request, **options)
            status = response.status_code
            return response
        finally:
            finished(request.url.host, request.method, status, perf_counter() - start)

    def now(request: Any, **options: Any) -> Any:
        start, status = perf_counter(), 0
        try:
            response = original(request, **options)
            status = response.status_code
            return response
        finally:
            finished(request.url.host, request.method, status, perf_counter() - start)

    client.send = later if hasattr(client, "aclose") else now


def aiohttp_trace() -> Any:
    """`aiohttp.ClientSession(trace_configs=[aiohttp_trace()])`."""
    from aiohttp import TraceConfig

    async def start(_session: Any, context: Any, _params: Any) -> None:
        context.start = perf_counter()

    async def end(_session: Any, context: Any, params: Any) -> None:
        finished(params.url.host or "", params.method, params.response.status, perf_counter() - context.start)

    async def failed(_session: Any, context: Any, params: Any) -> None:
        finished(params.url.host or "", params.method, 0, perf_counter() - context.start)

    trace = TraceConfig()
    trace.on_request_start.append(start)
    trace.on_request_end.append(end)
    trace.on_request_exception.append(failed)
    return trace
