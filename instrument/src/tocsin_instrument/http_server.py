"""The metrics of an HTTP server; shared by every framework.

`http_route` is the template (`/orders/{id}`), never a raw path: a crawler must not be able to make series.
"""

from __future__ import annotations

from prometheus_client import Gauge, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

request_duration = Histogram(
    "http_server_request_duration_seconds",
    "Duration of HTTP requests, from the first byte in to the last byte out.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=BUCKETS,
)
active_requests = Gauge(
    "http_server_active_requests", "HTTP requests being answered now.", ["http_request_method"], multiprocess_mode="livesum"
)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
_MOST_SERIES = 5000

_durations: dict[tuple[str, str, int], Histogram] = {}
_active: dict[str, Gauge] = {}


def known_method(method: str) -> str:
    """The method, or `_OTHER` for one that a stranger made up."""
    return method if method in _METHODS else "_OTHER"


def started(method: str) -> Gauge:
    """Count a request in; `.dec()` the answer when it is over."""
    # labels() costs more than the update itself: keep the children.
    child = _active.get(method)
    if child is None:
        child = _active[method] = active_requests.labels(method)
    child.inc()
    return child


def finished(method: str, route: str, status: int, seconds: float) -> None:
    """Record one answered request."""
    key = (method, route, status)
    child = _durations.get(key)
    if child is None:
        if len(_durations) >= _MOST_SERIES:
            key = (method, "_overflow", status)
        child = _durations[key] = request_duration.labels(key[0], key[1], str(status))
    child.observe(seconds)
