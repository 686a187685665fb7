"""What the table of services shows beside rate, errors and p95: of all services at once, a query per column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.model.ports import Queryable
from tocsin.web.api.metrics_view import Asker, ServiceMetrics, read_services

_REQUESTS = "http_server_request_duration_seconds_count"
_RATE = f"sum by (service) (rate({_REQUESTS}[5m]))"
_REFUSED = f'sum by (service) (rate({_REQUESTS}{{http_response_status_code=~"4.."}}[5m])) / ({_RATE} > 0)'
_QUANTILE = "histogram_quantile({}, sum by (le, service) (rate(http_server_request_duration_seconds_bucket[5m])))"
_POOL = "service, instance, db_client_connection_pool_name"
# What runs full: each a share of its limit, the fullest instance of a service speaks for it.
_SATURATION = {
    "connection pool": (
        f'max by (service) (sum by ({_POOL}) (db_client_connection_count{{db_client_connection_state="used"}}) '
        f"/ (sum by ({_POOL}) (db_client_connection_max) > 0))"
    ),
    "file descriptors": "max by (service) (process_open_fds / (process_max_fds > 0))",
}


@dataclass(frozen=True, slots=True)
class Figures:
    client_error_ratio: float | None = None
    p50_s: float | None = None
    p99_s: float | None = None
    saturation: float | None = None
    saturated: str = ""


@dataclass(frozen=True, slots=True)
class FiguresOfAll:
    metrics: Mapping[str, ServiceMetrics]
    figures: Mapping[str, Figures]


NOTHING = FiguresOfAll({}, {})


def read_figures(engine: Queryable, now_ms: int) -> FiguresOfAll:
    """Of every service; eight queries however many there are. Blocking: call it from a thread."""
    ask = Asker(engine, now_ms)
    metrics = read_services(ask)
    refused = ask.now(_REFUSED, "service")
    p50, p99 = (ask.now(_QUANTILE.format(share), "service") for share in (0.5, 0.99))
    full = {what: ask.now(query, "service") for what, query in _SATURATION.items()}
    figures = {}
    for key in {*((name,) for name in metrics), *(key for found in full.values() for key in found)}:
        shares = [(found[key], what) for what, found in full.items() if key in found]
        most, what = max(shares, default=(None, ""))
        figures[key[0]] = Figures(refused.get(key), p50.get(key), p99.get(key), most, what)
    figures.pop("", None)
    return FiguresOfAll(metrics, figures)
