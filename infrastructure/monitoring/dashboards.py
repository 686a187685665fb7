# ruff: noqa: E501  (a panel is one line; expressions are as long as they are)
"""Writes grafana-dashboards/*.json (classic model, schemaVersion 41): python infrastructure/monitoring/dashboards.py

Panels are declared below as (title, unit, {legend: expression}); the JSON is only their spelling out. The metric names are those
of docs/reference/metrics.md. tests/infrastructure keeps the files equal to this script and every expression parseable.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana-dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
Panel = tuple[str, str, dict[str, str]]
HTTP = 'http_server_request_duration_seconds_{part}{{job=~"$job",service=~"$service"{more}}}[$__rate_interval]'


def http(part: str, more: str = "") -> str:
    return f"rate({HTTP.format(part=part, more=more)})"


REQUESTS, BUCKETS = http("count"), http("bucket")
SERVER_ERRORS = http("count", ',http_response_status_code=~"5.."')
CLIENT_ERRORS = http("count", ',http_response_status_code=~"4.."')


def quantile(q: float) -> str:
    return f"histogram_quantile({q}, sum by (service, le) ({BUCKETS}))"


DASHBOARDS: dict[str, tuple[str, dict[str, str], dict[str, list[Panel]]]] = {
    "services": (
        "Services",
        {
            "job": "http_server_request_duration_seconds_count",
            "service": 'http_server_request_duration_seconds_count{job=~"$job"}',
        },
        {
            "Traffic and errors": [
                ("Requests per second", "reqps", {"{{service}}": f"sum by (service) ({REQUESTS})"}),
                (
                    "Share of 5xx",
                    "percentunit",
                    {"{{service}}": f"sum by (service) ({SERVER_ERRORS}) / sum by (service) ({REQUESTS})"},
                ),
                (
                    "Share of 4xx",
                    "percentunit",
                    {"{{service}}": f"sum by (service) ({CLIENT_ERRORS}) / sum by (service) ({REQUESTS})"},
                ),
                ("Errors per minute", "short", {"{{service}}": f"60 * sum by (service) ({SERVER_ERRORS})"}),
            ],
            "Response time": [
                ("p50", "s", {"{{service}}": quantile(0.5)}),
                ("p95", "s", {"{{service}}": quantile(0.95)}),
                ("p99", "s", {"{{service}}": quantile(0.99)}),
                (
                    "Slowest routes, p95",
                    "s",
                    {"{{http_route}}": f"topk(10, histogram_quantile(0.95, sum by (http_route, le) ({BUCKETS})))"},
                ),
            ],
            "Payments and saturation": [
                (
                    "Payment success",
                    "percentunit",
                    {
                        "{{service}}": 'sum by (service) (rate(payments_total{job=~"$job",service=~"$service",outcome="success"}[$__rate_interval]))'
                        ' / sum by (service) (rate(payments_total{job=~"$job",service=~"$service"}[$__rate_interval]))'
                    },
                ),
                (
                    "Requests in flight",
                    "short",
                    {"{{service}}": 'sum by (service) (http_server_active_requests{job=~"$job",service=~"$service"})'},
                ),
                (
                    "Firing alerts",
                    "short",
                    {"{{alertname}}": 'sum by (alertname) (ALERTS{alertstate="firing",service=~"$service"})'},
                ),
            ],
        },
    ),
    "databases": (
        "Databases and pools",
        {
            "job": "db_client_operation_duration_seconds_count",
            "service": 'db_client_operation_duration_seconds_count{job=~"$job"}',
        },
        {
            "Queries": [
                (
                    "Query time, p95",
                    "s",
                    {
                        "{{service}} {{db_system_name}}": "histogram_quantile(0.95, sum by (service, db_system_name, le) "
                        '(rate(db_client_operation_duration_seconds_bucket{job=~"$job",service=~"$service"}[$__rate_interval])))'
                    },
                ),
                (
                    "Queries per second",
                    "ops",
                    {
                        "{{service}} {{db_operation_name}}": "sum by (service, db_operation_name) "
                        '(rate(db_client_operation_duration_seconds_count{job=~"$job",service=~"$service"}[$__rate_interval]))'
                    },
                ),
            ],
            "Pools": [
                (
                    "In use",
                    "percentunit",
                    {
                        "{{service}} {{db_client_connection_pool_name}}": "sum by (service, db_client_connection_pool_name) "
                        '(db_client_connection_count{service=~"$service",db_client_connection_state="used"}) / '
                        'sum by (service, db_client_connection_pool_name) (db_client_connection_max{service=~"$service"})'
                    },
                ),
                (
                    "Waiting",
                    "short",
                    {
                        "{{service}} {{db_client_connection_pool_name}}": "sum by (service, db_client_connection_pool_name) "
                        '(db_client_connection_pending_requests{service=~"$service"})'
                    },
                ),
            ],
            "Servers": [
                ("Up", "bool_on_off", {"{{instance}}": "pg_up or mysql_up or redis_up"}),
                (
                    "PostgreSQL connections",
                    "short",
                    {"{{instance}} {{state}}": "sum by (instance, state) (pg_stat_activity_count)"},
                ),
                ("Replication lag", "s", {"{{instance}}": "pg_replication_lag_seconds"}),
            ],
        },
    ),
    "hosts": (
        "Hosts",
        {"instance": "node_boot_time_seconds"},
        {
            "CPU and memory": [
                (
                    "CPU in use",
                    "percentunit",
                    {
                        "{{instance}}": '1 - avg by (instance) (rate(node_cpu_seconds_total{instance=~"$instance",mode="idle"}[$__rate_interval]))'
                    },
                ),
                ("Load, 1 minute", "short", {"{{instance}}": 'node_load1{instance=~"$instance"}'}),
                (
                    "Memory in use",
                    "percentunit",
                    {
                        "{{instance}}": '1 - node_memory_MemAvailable_bytes{instance=~"$instance"} / node_memory_MemTotal_bytes{instance=~"$instance"}'
                    },
                ),
            ],
            "Disk and network": [
                (
                    "Disk in use",
                    "percentunit",
                    {
                        "{{instance}} {{mountpoint}}": '1 - node_filesystem_avail_bytes{instance=~"$instance",fstype!~"tmpfs|ramfs|overlay|squashfs"}'
                        ' / node_filesystem_size_bytes{instance=~"$instance",fstype!~"tmpfs|ramfs|overlay|squashfs"}'
                    },
                ),
                (
                    "Disk busy",
                    "percentunit",
                    {"{{instance}} {{device}}": 'rate(node_disk_io_time_seconds_total{instance=~"$instance"}[$__rate_interval])'},
                ),
                (
                    "Received",
                    "Bps",
                    {
                        "{{instance}} {{device}}": 'rate(node_network_receive_bytes_total{instance=~"$instance"}[$__rate_interval])'
                    },
                ),
                (
                    "Sent",
                    "Bps",
                    {
                        "{{instance}} {{device}}": 'rate(node_network_transmit_bytes_total{instance=~"$instance"}[$__rate_interval])'
                    },
                ),
            ],
        },
    ),
    "checks": (
        "Checks",
        {"check": "tocsin_check_state"},
        {
            "Availability": [
                ("Down now", "short", {"{{check}}": 'tocsin_check_state{check=~"$check",state="down"} == 1'}),
                (
                    "Share of good probes, 1 hour",
                    "percentunit",
                    {"{{check}} {{location}}": 'avg_over_time(probe_success{check=~"$check"}[1h])'},
                ),
                ("Probe duration", "s", {"{{check}} {{location}}": 'probe_duration_seconds{check=~"$check"}'}),
                ("HTTP phases", "s", {"{{check}} {{phase}}": 'probe_http_duration_seconds{check=~"$check"}'}),
                (
                    "Days to certificate expiry",
                    "d",
                    {"{{check}}": '(probe_ssl_earliest_cert_expiry{check=~"$check"} - time()) / 86400'},
                ),
            ],
        },
    ),
    "tocsin": (
        "Tocsin",
        {},
        {
            "Paging": [
                (
                    "Notifications",
                    "ops",
                    {"{{channel}} {{outcome}}": "sum by (channel, outcome) (rate(tocsin_notifications_total[$__rate_interval]))"},
                ),
                ("Outbox", "short", {"{{state}}": "sum by (state) (tocsin_outbox_rows)"}),
                (
                    "Decided to first request, p99",
                    "s",
                    {"p99": "histogram_quantile(0.99, sum by (le) (rate(tocsin_page_latency_seconds_bucket[$__rate_interval])))"},
                ),
                ("Incidents", "short", {"{{state}}": "sum by (state) (tocsin_incidents)"}),
            ],
            "Engine": [
                ("Event loop lag", "s", {"{{process}}": "max by (process) (tocsin_event_loop_lag_seconds)"}),
                (
                    "Rule evaluation, p99",
                    "s",
                    {
                        "p99": "histogram_quantile(0.99, sum by (le) (rate(tocsin_rule_evaluation_duration_seconds_bucket[$__rate_interval])))"
                    },
                ),
                ("Series in memory", "short", {"series": "sum(tocsin_head_series)"}),
                ("Store size", "bytes", {"{{part}}": "sum by (part) (tocsin_store_bytes)"}),
                ("Restarts", "short", {"{{process}}": "increase(tocsin_child_restarts_total[1h])"}),
            ],
        },
    ),
}


def dashboard(name: str) -> dict[str, Any]:
    """One dashboard: a variable for each label, a row for each section, three panels a line."""
    title, variables, sections = DASHBOARDS[name]
    panels: list[dict[str, Any]] = []
    y = 0
    for section, declared in sections.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": section,
                "collapsed": False,
                "panels": [],
                "gridPos": grid(0, y, 24, 1),
            }
        )
        y += 1
        for place, panel in enumerate(declared):
            panels.append({"id": len(panels) + 1, **timeseries(panel), "gridPos": grid(place % 3 * 8, y + place // 3 * 8, 8, 8)})
        y += -(-len(declared) // 3) * 8
    return {
        "uid": f"tocsin-{name}",
        "title": f"Tocsin / {title}",
        "tags": ["tocsin"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [datasource(), *(variable(label, selector) for label, selector in variables.items())]},
        "annotations": {"list": [firing()]},
        "panels": panels,
    }


def grid(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def timeseries(panel: Panel) -> dict[str, Any]:
    title, unit, queries = panel
    return {
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(65 + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "range": True}
            for i, (legend, expr) in enumerate(queries.items())
        ],
    }


def datasource() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source", "refresh": 1}


def variable(label: str, selector: str) -> dict[str, Any]:
    return {
        "name": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({selector}, {label})", "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def firing() -> dict[str, Any]:
    return {
        "name": "Critical alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing",severity="critical"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{service}} {{instance}}",
    }


def text(name: str) -> str:
    return json.dumps(dashboard(name), indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text(name))
