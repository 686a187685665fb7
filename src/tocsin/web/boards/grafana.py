"""A dashboard in Grafana's classic model (schemaVersion 41), which every Grafana since 8 loads from a file or its import dialog.

The data source is a variable, `$__rate_interval` is Grafana's own, no panel needs a plugin. Honeycombs become coloured
stats and calendars status histories by the day: Grafana has neither in its core.
"""

from __future__ import annotations

import json
from typing import Any

from tocsin.web.boards.board import COLUMNS, Dashboard, Panel, Variable

SCHEMA_VERSION = 41
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_UNITS = {
    "": "short",
    "s": "s",
    "bytes": "bytes",
    "bytes/s": "Bps",
    "ratio": "percentunit",
    "/s": "reqps",
    "days": "d",
    "bool": "bool_on_off",
}
_TYPES = {
    "timeseries": "timeseries",
    "stat": "stat",
    "table": "table",
    "bars": "bargauge",
    "heatmap": "heatmap",
    "honeycomb": "stat",
    "timeline": "state-timeline",
    "strip": "status-history",
    "calendar": "status-history",
    "text": "text",
}
_FILLS = {"lines": 8, "area": 25, "stacked": 45}
_INSTANT = frozenset({"stat", "table", "bars", "honeycomb"})
_HEIGHTS = {"stat": 4, "text": 4}
_HEIGHT = 8


def grafana_json(board: Dashboard) -> str:
    return json.dumps(classic(board), indent=2) + "\n"


def classic(board: Dashboard) -> dict[str, Any]:
    """The dashboard: a row for each section, its panels from left to right."""
    panels: list[dict[str, Any]] = []
    y = 0
    for section in board.sections:
        panels.append(_row(len(panels) + 1, section.title, y))
        y += 1
        x, tallest = 0, 0
        for panel in section.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            height = _HEIGHTS.get(panel.kind, _HEIGHT)
            panels.append({"id": len(panels) + 1, **_panel(panel), "gridPos": _place(x, y, panel.width, height)})
            x, tallest = x + panel.width, max(tallest, height)
        y += tallest
    return {
        "uid": f"tocsin-{board.name}"[:40],
        "title": f"Tocsin / {board.title}",
        "description": board.description,
        "tags": ["tocsin"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": board.range, "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_data_source(), *(_variable(one) for one in board.variables)]},
        "annotations": {"list": [_critical_alerts()]},
        "panels": panels,
    }


def _row(number: int, title: str, y: int) -> dict[str, Any]:
    return {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _place(0, y, COLUMNS, 1)}


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _panel(panel: Panel) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": _TYPES[panel.kind], "title": panel.title, "description": panel.description}
    if panel.kind == "text":
        return {**shown, "options": {"mode": "markdown", "content": panel.text}}
    return {
        **shown,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "targets": [_target(panel, place, legend, query) for place, (legend, query) in enumerate(panel.queries.items())],
    }


def _target(panel: Panel, place: int, legend: str, query: str) -> dict[str, Any]:
    instant = panel.kind in _INSTANT
    target: dict[str, Any] = {"refId": chr(65 + place), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
    target |= {"instant": True} if instant else {"range": True}
    if panel.kind in ("table", "heatmap"):
        target["format"] = panel.kind
    if panel.kind == "calendar":
        target["interval"] = "1d"
    return target


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": _UNITS[panel.unit]}
    if panel.kind in ("timeseries", "bars"):
        defaults["min"] = 0
    if panel.kind == "timeseries":
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": _FILLS[panel.fill], "showPoints": "never"}
        if panel.fill == "stacked":
            defaults["custom"]["stacking"] = {"mode": "normal", "group": "A"}
    if panel.full is not None:
        defaults["max"] = panel.full
    steps = _steps(panel)
    if len(steps) > 1:
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        if panel.kind == "timeseries":
            defaults["custom"]["thresholdsStyle"] = {"mode": "line"}
    return defaults


def _steps(panel: Panel) -> list[dict[str, Any]]:
    """Grafana's steps go upwards: where small values are bad, the worst colour is the first."""
    limits = panel.thresholds
    named = [(limits.warning, "orange"), (limits.critical, "red")]
    given = [(value, colour) for value, colour in named if value is not None]
    if not limits.below:
        return [{"color": "green", "value": None}, *({"color": colour, "value": value} for value, colour in given)]
    ordered = sorted(given)
    colours = [colour for _, colour in ordered] + ["green"]
    starts = [None, *(value for value, _ in ordered)]
    return [{"color": colour, "value": start} for start, colour in zip(starts, colours, strict=True)]


def _options(panel: Panel) -> dict[str, Any]:
    reduced = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    match panel.kind:
        case "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "stat":
            return {**reduced, "colorMode": "value", "graphMode": "area", "textMode": "auto"}
        case "honeycomb":
            return {**reduced, "colorMode": "background", "graphMode": "none", "textMode": "value_and_name"}
        case "bars":
            return {**reduced, "orientation": "horizontal", "displayMode": "gradient"}
        case "heatmap":
            return {"calculate": False, "yAxis": {"unit": _UNITS[panel.unit]}, "color": {"scheme": "Blues", "mode": "scheme"}}
        case "timeline":
            return {"mergeValues": True, "showValue": "never", "legend": {"displayMode": "list", "placement": "bottom"}}
        case "strip" | "calendar":
            return {"showValue": "never", "legend": {"displayMode": "list", "placement": "bottom"}}
        case _:
            return {}


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source", "refresh": 1}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.title or variable.name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": f"label_values({variable.of}, {variable.name})", "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _critical_alerts() -> dict[str, Any]:
    return {
        "name": "Critical alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing",severity="critical"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{service}} {{instance}}",
    }
