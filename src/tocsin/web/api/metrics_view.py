"""Hosts, services and key figures by PromQL, for the overview: of the names that our instruments and the usual exporters give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin.model.ports import Queryable
from tocsin.web.api.asker import Asker
from tocsin.web.api.columns import last
from tocsin.web.api.scope import Narrowing
from tocsin.web.api.service_figures import RATE, ServiceMetrics, read_services
from tocsin.web.api.shapes import HostRow, Kpi

# Pseudo file systems would always be the fullest ones.
_REAL_FS = (
    'fstype!~"tmpfs|devtmpfs|overlay|squashfs|proc|sysfs|ramfs|iso9660|autofs|fuse.*",mountpoint!~"/(dev|proc|sys|run)(/.*)?"'
)

_HOST = {
    # Of both rates, so that what a young series lacks of its window is lacking in both: right from the second sample on.
    "cpu": (
        'clamp_min(1 - sum by (instance) (rate(node_cpu_seconds_total{mode="idle"}[2m])) '
        "/ sum by (instance) (rate(node_cpu_seconds_total[2m])), 0)"
    ),
    "memory": "1 - max by (instance) (node_memory_MemAvailable_bytes) / max by (instance) (node_memory_MemTotal_bytes)",
    "disk": f"max by (instance) (1 - node_filesystem_avail_bytes{{{_REAL_FS}}} / node_filesystem_size_bytes{{{_REAL_FS}}})",
    "network": (
        'sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[2m]) '
        '+ rate(node_network_transmit_bytes_total{device!="lo"}[2m]))'
    ),
    "load": "max by (instance) (node_load1)",
}
_DISKS = f"1 - node_filesystem_avail_bytes{{{_REAL_FS}}} / node_filesystem_size_bytes{{{_REAL_FS}}}"
_INODES = f"max by (instance) (1 - node_filesystem_files_free{{{_REAL_FS}}} / (node_filesystem_files{{{_REAL_FS}}} > 0))"
_CORES = 'count by (instance) (node_cpu_seconds_total{mode="idle"})'
_RECEIVED = 'sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[2m]))'
_SENT = 'sum by (instance) (rate(node_network_transmit_bytes_total{device!="lo"}[2m]))'

_REQUESTS = "http_server_request_duration_seconds_count"

# A service that never failed has no series of failures: none of its requests failed, which is known.
_ALL = f"sum(rate({_REQUESTS}[5m]))"
_ERRORS = f'(sum(rate({_REQUESTS}{{http_response_status_code=~"5.."}}[5m])) or 0 * {_ALL}) / ({_ALL} > 0)'
_P95 = "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[5m])))"
_PAYMENTS = 'sum(rate(payments_total{outcome="success"}[15m])) / sum(rate(payments_total[15m]))'

# id, title, query, unit, and where it turns to warning and to critical (None = never judged)
_KPIS: tuple[tuple[str, str, str, str, float | None, float | None], ...] = (
    ("requests", "Requests", _ALL, "1/s", None, None),
    ("errors", "5xx", _ERRORS, "ratio", 0.01, 0.05),
    ("p95", "p95", _P95, "s", 1.0, 5.0),
    ("payments", "Payments ok", _PAYMENTS, "ratio", None, None),
    ("checks", "Checks up", "avg(probe_success)", "ratio", None, None),
    ("cpu", "CPU worst", f"max({_HOST['cpu']})", "ratio", 0.85, 0.95),
    ("memory", "Memory worst", f"max({_HOST['memory']})", "ratio", 0.85, 0.95),
    ("disk", "Disk worst", f"max({_HOST['disk']})", "ratio", 0.85, 0.95),
)


@dataclass(frozen=True, slots=True)
class MetricsView:
    hosts: Sequence[HostRow] = ()
    services: Mapping[str, ServiceMetrics] = field(default_factory=dict)
    kpis: Sequence[Kpi] = ()
    unscoped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """hosts, services -> labels of the scope that do not narrow them."""


def read_metrics(engine: Queryable, now_ms: int, narrowing: Narrowing | None = None) -> MetricsView:
    """Everything the overview shows of metrics, or of a scope by as many queries. Blocking: call it from a thread."""
    if narrowing is None:
        ask = Asker(engine, now_ms)
        return MetricsView(_hosts(ask), read_services(ask), _kpis(ask))
    ask = Asker(engine, now_ms, narrowing.query)
    hosts, services, kpis = _hosts(ask), read_services(ask), _kpis(ask)
    wide = {"hosts": narrowing.without(_CORES) if hosts else [], "services": narrowing.without(RATE) if services else []}
    query_of = {kpi_id: query for kpi_id, _, query, *_ in _KPIS}
    return MetricsView(
        hosts=hosts,
        services=services,
        kpis=[replace(kpi, unscoped=narrowing.without(query_of[kpi.id])) for kpi in kpis],
        unscoped={part: names for part, names in wide.items() if names},
    )


def _hosts(ask: Asker) -> list[HostRow]:
    lines = {name: ask.trend(query, "instance") for name, query in _HOST.items()}
    # The trend stands on whole steps; the figures are of now, so that a fresh installation shows them at once.
    latest = {name: ask.now(query, "instance") for name, query in _HOST.items()}
    disks, inodes, cores = ask.now(_DISKS, "instance", "mountpoint"), ask.now(_INODES, "instance"), ask.now(_CORES, "instance")
    received, sent = ask.now(_RECEIVED, "instance"), ask.now(_SENT, "instance")
    rows = []
    for (instance,) in sorted(cores):
        key = (instance,)
        mounts = {mount: value for (host, mount), value in disks.items() if host == instance}
        mount = max(mounts, key=lambda name: mounts[name], default="")
        trend = {name: found.get(key, []) for name, found in lines.items()}
        rows.append(
            HostRow(
                instance=instance,
                cpu=latest["cpu"].get(key),
                memory=latest["memory"].get(key),
                disk_worst=mounts.get(mount),
                disk_mount=mount,
                inodes_worst=inodes.get(key),
                load1=latest["load"].get(key),
                cores=int(cores[key]),
                rx_bytes_s=received.get(key),
                tx_bytes_s=sent.get(key),
                trend=trend,
            )
        )
    return rows


def _kpis(ask: Asker) -> list[Kpi]:
    """Figures that have data; the others are left out rather than shown as zero."""
    found = []
    for kpi_id, title, query, unit, warning, critical in _KPIS:
        line = ask.trend(query).get((), [])
        value = last(line)
        if value is None:
            continue
        state = "none" if critical is None else _judge(value, warning or 0.0, critical)
        found.append(Kpi(kpi_id, title, value, text_of(value, unit), unit, line, state))
    return found


def _judge(value: float, warning: float, critical: float) -> str:
    return "critical" if value > critical else "warning" if value > warning else "ok"


def text_of(value: float, unit: str) -> str:
    """For people: `97.1 %`, `412 ms`, `1,284`."""
    match unit:
        case "ratio":
            return f"{value * 100:.1f} %"
        case "s":
            return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
        case _:
            return (f"{value:,.0f}" if value >= 100 else f"{value:.1f}") + (" /s" if unit == "1/s" else "")
