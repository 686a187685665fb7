"""A report as HTML: for mail with its style in every element (mail programs drop style sheets), for pages without. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from tocsin.incidents.oncall import wall_time
from tocsin.model.duration import human_duration

_CELL = "padding:4px 10px 4px 0;text-align:left;border-bottom:1px solid #e3e6ec;vertical-align:top"
_HEAD = _CELL + ";color:#5b6577;font-weight:600"
_BLOCKS = "▁▂▃▄▅▆▇█"
_GOOD, _BAD, _DIM = "color:#1b6e3c", "color:#b3261e", "color:#5b6577"


class Page:
    """Builds one page; `styled` False leaves styles to the sheet of the page around it."""

    def __init__(self, *, styled: bool, time_zone: str = "UTC") -> None:
        self._styled = styled
        self._zone = time_zone

    def body(self, report: Mapping[str, Any], *, link: str = "") -> str:
        """Everything below the title."""
        parts = [f"<p{self._style(_DIM)}>{escape(self._span(report))}</p>"]
        parts.append("<ul>" + "".join(f"<li>{escape(text)}</li>" for text in report["summary"]) + "</ul>")
        parts += [self._slos(report), self._kpis(report), self._services(report), self._checks(report), self._incidents(report)]
        parts += [self._rules(report), self._recurring(report), self._longest(report), self._people(report)]
        if link:
            parts.append(f"<p><a href='{escape(link, quote=True)}'>Open this report in Tocsin</a></p>")
        return "".join(parts)

    def whole(self, report: Mapping[str, Any], *, link: str = "") -> str:
        """A complete document, for mail and files."""
        title = escape(report["title"])
        style = self._style("font-family:sans-serif;font-size:15px;color:#1a1f2b;max-width:860px")
        return (
            f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title></head>"
            f"<body{style}><h1{self._style('font-size:22px')}>{title}</h1>{self.body(report, link=link)}</body></html>"
        )

    # -- sections --

    def _slos(self, report: Mapping[str, Any]) -> str:
        rows = []
        for row in report["slos"]:
            used = row["budget_used"]
            budget = "-" if used is None else f"{used:.0%} of the error budget used"
            rows.append(
                [
                    row["name"],
                    row["error"] or self._ratio(row["value"]),
                    self._ratio(row["target"]),
                    self._met(row),
                    budget,
                    row["owner"],
                ]
            )
        return self._table("Objectives", ("objective", "was", "target", "", "error budget", "owner"), rows)

    def _kpis(self, report: Mapping[str, Any]) -> str:
        rows = []
        for row in report["kpis"]:
            target = "" if row["target"] is None else f"{'at most' if row['at_most'] else 'at least'} {_number(row['target'])}"
            value = _number(row["value"], row["unit"]) if not row["error"] else row["error"]
            cells = [row["name"], value, target, self._met(row), trend(row["days"]), self._change(row["change"])]
            rows.append([*cells, row["owner"]])
        return self._table("Key figures", ("figure", "value", "target", "", "by day", "against before", "owner"), rows)

    def _services(self, report: Mapping[str, Any]) -> str:
        rows = [
            [row["service"], self._ratio(row["uptime"]), _lasted(row["down_ms"]), str(row["outages"]), str(row["checks"])]
            for row in report["services"]
        ]
        return self._table("Services", ("service", "uptime", "down", "outages", "checks"), rows)

    def _checks(self, report: Mapping[str, Any]) -> str:
        rows = []
        for row in report["checks"]:
            before = "" if row["uptime_before"] is None else f"{row['uptime_before']:.3%} before"
            latency = "-" if row["latency"]["after"] is None else f"{row['latency']['after'] * 1000:.0f} ms"
            high = "" if row["latency_high_s"] is None else f"{row['latency_high_s'] * 1000:.0f} ms"
            cells = [row["name"], self._ratio(row["uptime"]), before, _lasted(row["down_ms"]), str(row["outages"]), latency, high]
            rows.append([*cells, trend(row["latency_days"]), self._change(row["latency"])])
        heads = ("check", "uptime", "", "down", "outages", "median", "95 %", "by day", "latency against before")
        return self._table("Checks", heads, rows)

    def _incidents(self, report: Mapping[str, Any]) -> str:
        found = report["incidents"]
        rows = [
            ["incidents", str(int(found["incidents"]["after"] or 0)), self._change(found["incidents"])],
            ["pages", str(int(found["pages"]["after"] or 0)), self._change(found["pages"])],
            ["acknowledged", str(found["acknowledged"]), ""],
            ["opened again", str(found["reopened"]), ""],
            ["time to acknowledge", _time(found["mtta_ms"]), f"before {_time(found['mtta_ms_before'])}"],
            ["time to resolve", _time(found["mttr_ms"]), f"before {_time(found['mttr_ms_before'])}"],
            ["first page after", _time(found["median_first_page_ms"]), "median, from the decision to the provider"],
        ]
        return self._table("Incidents", ("", "", ""), rows)

    def _rules(self, report: Mapping[str, Any]) -> str:
        rows = []
        for row in report["rules"]:
            precision = "not judged" if row["precision"] is None else f"{row['precision']:.0%} real"
            cells = [row["rule"], str(row["pages"]), str(row["incidents"]), precision, str(row["quick"])]
            rows.append([*cells, str(row["never_acknowledged"])])
        heads = ("rule", "pages", "incidents", "judged", "over within 5 min", "never acknowledged")
        return self._table("Noisiest rules", heads, rows)

    def _recurring(self, report: Mapping[str, Any]) -> str:
        rows = [
            [row["title"], f"{row['times']} times", f"#{row['last']}", row["last_fix"] or "nobody wrote down what helped"]
            for row in report["recurring"]
        ]
        return self._table("What came back", ("incident", "how often", "last", "last fix"), rows)

    def _longest(self, report: Mapping[str, Any]) -> str:
        rows = [
            [f"#{row['number']}", row["title"], row["severity"], _lasted(row["lasted_ms"]), row["what_was_done"]]
            for row in report["longest"]
        ]
        return self._table("Longest incidents", ("", "incident", "severity", "lasted", "what was done"), rows)

    def _people(self, report: Mapping[str, Any]) -> str:
        rows = [
            [row["who"], str(row["pages"]), str(row["work"]), str(row["off"]), str(row["sleep"])]
            for row in sorted(report["people"], key=lambda row: -row["pages"])
        ]
        return self._table("Who was paged", ("person", "pages", "at work", "off hours", "asleep"), rows)

    # -- pieces: a cell is text, escaped here, or a `_Html` --

    def _table(self, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        if not rows:
            return ""
        head = "".join(f"<th{self._style(_HEAD)}>{escape(name)}</th>" for name in heads) if any(heads) else ""
        lines = "".join("<tr>" + "".join(f"<td{self._style(_CELL)}>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        table = self._style("border-collapse:collapse;font-size:14px")
        heading = f"<h2{self._style('font-size:17px;margin:22px 0 6px')}>{escape(title)}</h2>"
        return f"{heading}<table{table}>{f'<tr>{head}</tr>' if head else ''}{lines}</table>"

    def _change(self, change: Mapping[str, Any]) -> str:
        """How much, and whether that is more than chance."""
        if change["ratio"] is None:
            return "" if change["before"] is None else f"before {_number(change['before'])}"
        text = f"{change['ratio']:+.0%}"
        if change["significant"]:
            return _Html(f"<strong>{escape(text)}</strong> (p {change['p']:.3f})")
        return f"{text}, within chance"

    def _met(self, row: Mapping[str, Any]) -> str:
        if row["met"] is None:
            return ""
        word, colour = ("met", _GOOD) if row["met"] else ("missed", _BAD)
        return _Html(f"<strong{self._style(colour)}>{word}</strong>")

    def _ratio(self, value: float | None) -> str:
        return "unknown" if value is None else f"{value:.3%}"

    def _span(self, report: Mapping[str, Any]) -> str:
        start, end = wall_time(report["start_ms"], self._zone), wall_time(report["end_ms"], self._zone)
        return f"{_wall(start)} to {_wall(end)} {self._zone}, compared with the same time before"

    def _style(self, style: str) -> str:
        return f' style="{style}"' if self._styled else ""


class _Html(str):
    """A cell that is HTML already."""

    __slots__ = ()


def _cell(cell: str) -> str:
    return cell if isinstance(cell, _Html) else escape(cell)


def _wall(t: datetime) -> str:
    return t.strftime("%a %Y-%m-%d %H:%M")


def _time(ms: int | None) -> str:
    return "-" if ms is None else human_duration(ms)


def trend(days: Sequence[float | None]) -> str:
    """A line of blocks, one a day, from the least to the most of them; a dot where nothing is known."""
    known = [value for value in days if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join("·" if value is None else _BLOCKS[round((value - low) * scale)] for value in days)


def _lasted(ms: int) -> str:
    return human_duration(ms) if ms else "-"


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "unknown"
    text = f"{value:,.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return f"{text} {unit}".strip()
