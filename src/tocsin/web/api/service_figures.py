"""The figures of the table of services: of all services at once, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tocsin.model.ports import Queryable
from tocsin.promql.buckets import bucket_quantile
from tocsin.web.api.asker import Asker
from tocsin.web.api.columns import last, numbers
from tocsin.web.api.shapes import Trend

RATE = "sum by (service) (rate(http_server_request_duration_seconds_count[5m]))"
_BY_STATUS = "sum by (service, http_response_status_code) (rate(http_server_request_duration_seconds_count[5m]))"
_BUCKETS = "sum by (le, service) (rate(http_server_request_duration_seconds_bucket[5m]))"
_SHARES = (0.5, 0.95, 0.99)
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
class ServiceMetrics:
    """RED figures of one service; None where it does not report them."""

    rate: float | None = None
    error_ratio: float | None = None
    p95_s: float | None = None
    trend: Trend = ()


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


def read_services(ask: Asker) -> dict[str, ServiceMetrics]:
    """Rate with its trend, share of 5xx and p95 of every service that measures requests; three queries."""
    return {name: red for name, (red, _) in _measured(ask).items()}


def read_figures(engine: Queryable, now_ms: int) -> FiguresOfAll:
    """Of every service; five queries however many there are. Blocking: call it from a thread."""
    ask = Asker(engine, now_ms)
    measured = _measured(ask)
    full = {what: ask.now(query, "service") for what, query in _SATURATION.items()}
    metrics, figures = {}, {}
    for name in {*measured, *(key for found in full.values() for (key,) in found)} - {""}:
        shares = [(found[(name,)], what) for what, found in full.items() if (name,) in found]
        most, what = max(shares, default=(None, ""))
        red, more = measured.get(name, (None, Figures()))
        figures[name] = replace(more, saturation=most, saturated=what)
        if red is not None:
            metrics[name] = red
    return FiguresOfAll(metrics, figures)


def _measured(ask: Asker) -> dict[str, tuple[ServiceMetrics, Figures]]:
    """What a service says of its requests, by name."""
    lines = ask.trend(RATE, "service")
    answered = _answered(ask.now(_BY_STATUS, "service", "http_response_status_code"))
    times = _quantiles(ask.now(_BUCKETS, "service", "le"))
    found = {}
    for name in ({*answered} | {key[0] for key in lines}) - {""}:
        rate, refused, failed = answered.get(name, (None, None, None))
        p50, p95, p99 = times.get(name, (None, None, None))
        line = lines.get((name,), [])
        if line or rate is not None:
            red = ServiceMetrics(last(line) if rate is None else rate, failed, p95, line)
            found[name] = red, Figures(refused, p50, p99)
    return found


def _answered(rates: Mapping[tuple[str, ...], float]) -> dict[str, tuple[float, float | None, float | None]]:
    """Requests per second of each service, and the shares of 4xx and of 5xx; None where nobody calls it."""
    sums: dict[str, list[float]] = {}
    for (name, status), rate in rates.items():
        parts = sums.setdefault(name, [0.0, 0.0, 0.0])
        parts[0] += rate
        if status[:1] in ("4", "5") and len(status) == 3:
            parts[int(status[0]) - 3] += rate
    return {
        name: (total, refused / total, failed / total) if total > 0 else (0.0, None, None)
        for name, (total, refused, failed) in sums.items()
    }


def _quantiles(buckets: Mapping[tuple[str, ...], float]) -> dict[str, tuple[float | None, ...]]:
    """Of each service, from one look at the buckets: reading them is what costs."""
    edges: dict[float, int] = {}
    known: dict[str, dict[float, float]] = {}
    for (name, le), rate in buckets.items():
        try:
            edge = float(le)
        except ValueError:
            continue  # no bucket of a histogram
        known.setdefault(name, {})[edge] = rate
        edges[edge] = 0
    if not known:
        return {}
    bounds = np.array(sorted(edges), np.float64)
    place = {edge: index for index, edge in enumerate(bounds.tolist())}
    counts = np.zeros((len(known), len(bounds), 1))
    mask = np.zeros(counts.shape, bool)
    for row, rates in enumerate(known.values()):
        for edge, rate in rates.items():
            counts[row, place[edge], 0] = rate
            mask[row, place[edge], 0] = True
    found = [numbers(bucket_quantile(np.array([share]), bounds, counts, mask)[0][:, 0]) for share in _SHARES]
    return dict(zip(known, zip(*found, strict=True), strict=True))
