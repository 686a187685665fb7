"""A shared panel looked at and drawn: its queries answered, and lines, one figure, or rows as SVG."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

import numpy as np
from numpy.typing import NDArray

from tocsin.notify import chart
from tocsin.notify.chart import Chart, Size, cut
from tocsin.notify.chart_look import LIGHT, Look
from tocsin.notify.figures import in_unit
from tocsin.promql.engine import Engine
from tocsin.web.panel_link import SharedPanel, zone_of

_POINTS = 240
_TIMEOUT_S = 10.0
_MOST_ROWS = 50
_SLOT = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_ROW_PX, _TOP_PX = 24, 48


@dataclass(frozen=True, slots=True)
class Seen:
    """What the queries answered. `names` [k] of `values` float64 [k, m] at `t_ms` [m], highest last value first."""

    names: tuple[str, ...]
    t_ms: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def rows(self) -> list[tuple[str, float]]:
        """(name, the last value)."""
        return [(name, float(row[-1])) for name, row in zip(self.names, self.values, strict=True)]


def look_at(engine: Engine, panel: SharedPanel, now_ms: int, stop: threading.Event) -> Seen:
    """Ask what the panel asks, and nothing else. Raises QueryError, ValueError for a range that is none. Call it in a thread."""
    start_ms, end_ms = panel.span_ms(now_ms)
    step_ms = max((end_ms - start_ms) // _POINTS, 1000)
    if panel.kind == "table":
        start_ms = end_ms
    names: list[str] = []
    found: list[NDArray[np.float64]] = []
    t_ms = np.array([end_ms], np.int64)
    for legend, query in panel.queries:
        matrix = engine.range(query, start_ms, end_ms, step_ms, timeout_s=_TIMEOUT_S, cancelled=stop).matrix
        if matrix is None or not matrix.labels:
            continue
        t_ms = matrix.t_ms
        names += _names(legend, query, [dict(labels) for labels in matrix.labels])
        found += list(np.where(np.isfinite(matrix.values), matrix.values, np.nan))
    seen = [n for n, row in enumerate(found) if np.isfinite(row).any()]
    seen.sort(key=lambda n: (-found[n][np.isfinite(found[n])][-1], names[n]))
    values = np.array([found[n] for n in seen]) if seen else np.zeros((0, len(t_ms)))
    return Seen(tuple(names[n] for n in seen), t_ms, values)


def draw(panel: SharedPanel, seen: Seen, *, look: Look = LIGHT, size: Size, titled: bool = True) -> str:
    """The SVG. `titled` False: the page around it has the title."""
    title = panel.title if titled else ""
    if panel.kind == "table" or not seen.names or (panel.kind == "lines" and len(seen.t_ms) < 2):
        return _board(title or "", panel, seen, look, size)
    if panel.kind == "stat":
        return _figure(title, panel, seen, look, size)
    shown = slice(0, chart.MOST_LINES)
    drawn = Chart(
        title,
        seen.names[shown],
        seen.t_ms,
        seen.values[shown],
        left_out=max(0, len(seen.names) - chart.MOST_LINES),
        unit=panel.unit,
        limits=panel.limits,
    )
    return chart.svg(drawn, look=look, size=size, zone=zone_of(panel.zone), label=panel.title or "Panel")


def notice(headline: str, advice: str, *, size: Size) -> str:
    """What is said in place of a picture."""
    middle = size.height // 2
    lines = [
        _text(size.width // 2, middle - 8, headline, LIGHT, size=18, bold=True, anchor="middle", most=size.width // 11),
        _text(size.width // 2, middle + 20, advice, LIGHT, size=13, anchor="middle", most=size.width // 7),
    ]
    return _frame(headline, lines, LIGHT, size)


def when(panel: SharedPanel, seen: Seen) -> str:
    """The last instant of the panel, in its zone."""
    zone = zone_of(panel.zone)
    return datetime.fromtimestamp(int(seen.t_ms[-1]) / 1000, zone).strftime("%d %b %Y %H:%M:%S %Z")


def rows_of(panel: SharedPanel, seen: Seen) -> tuple[list[tuple[str, str]], int]:
    """(name, last value in its unit) of the first, and how many there are besides."""
    rows = [(name, in_unit(value, panel.unit)) for name, value in seen.rows[:_MOST_ROWS]]
    return rows, max(0, len(seen.names) - _MOST_ROWS)


def _figure(title: str, panel: SharedPanel, seen: Seen, look: Look, size: Size) -> str:
    """One large figure, and how it came about as a line below."""
    value = in_unit(seen.rows[0][1], panel.unit)
    large = max(28, min(size.height // 3, size.width // max(4, len(value)) * 3 // 2))
    middle = size.height // 2
    parts = [
        _text(16, 26, title, look, size=14, bold=True, most=size.width // 9),
        _text(size.width // 2, middle + large // 3, value, look, size=large, bold=True, anchor="middle", most=40),
        *_spark(seen, look, size),
    ]
    return _frame(panel.title, parts, look, size)


def _spark(seen: Seen, look: Look, size: Size) -> Iterator[str]:
    row = seen.values[0]
    known = np.flatnonzero(np.isfinite(row))
    if len(known) < 2:
        return
    low, high = float(row[known].min()), float(row[known].max())
    top, bottom = size.height * 3 // 4, size.height - 12
    xs = 16 + (size.width - 32) * known / max(len(row) - 1, 1)
    ys = bottom - (bottom - top) * (row[known] - low) / ((high - low) or 1)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs.tolist(), ys.tolist(), strict=True))
    yield f'<polyline points="{points}" fill="none" {look.stroke("0")} stroke-width="2"/>'


def _board(title: str, panel: SharedPanel, seen: Seen, look: Look, size: Size) -> str:
    """Names and values, as many as fit."""
    room = max(1, (size.height - _TOP_PX - 8) // _ROW_PX)
    rows = seen.rows if len(seen.names) <= room else seen.rows[: room - 1]
    parts = [_text(16, 26, title, look, size=14, bold=True, most=size.width // 9)]
    for number, (name, value) in enumerate(rows):
        y = _TOP_PX + 10 + number * _ROW_PX
        parts.append(_text(16, y, name, look, most=size.width // 9))
        parts.append(_text(size.width - 16, y, in_unit(value, panel.unit), look, bold=True, anchor="end", most=24))
    if len(rows) < len(seen.names):
        y = _TOP_PX + 10 + len(rows) * _ROW_PX
        parts.append(_text(16, y, f"and {len(seen.names) - len(rows)} more", look, most=40))
    if not seen.names:
        parts.append(_text(16, _TOP_PX + 10, "No series in this range.", look, most=60))
    return _frame(panel.title, parts, look, size)


def _frame(title: str, parts: Sequence[str], look: Look, size: Size) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size.width}" height="{size.height}"'
        f' viewBox="0 0 {size.width} {size.height}" font-family="{chart.FONT}" font-size="13" role="img" class="chart">'
        f"<title>{escape(cut(title or 'Panel', 200))}</title>"
        f'<rect width="{size.width}" height="{size.height}" {look.fill("paper")}/>{"".join(parts)}</svg>'
    )


def _text(x: int, y: int, text: str, look: Look, *, most: int, size: int = 13, bold: bool = False, anchor: str = "start") -> str:
    weight = ' font-weight="bold"' if bold else ""
    place = f'x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}"{weight}'
    return f"<text {place} {look.fill('ink')}>{escape(cut(text, most))}</text>"


def _names(legend: str, query: str, everything: Sequence[Mapping[str, str]]) -> list[str]:
    """The legend filled in; without one, what tells each line from the others."""
    if _SLOT.search(legend) or (legend and len(everything) == 1):
        return [_filled(legend, labels) or query for labels in everything]
    if len(everything) == 1:
        return [query]
    shared = {item for item in everything[0].items() if all(item in labels.items() for labels in everything)}
    own = [", ".join(f"{k}={v}" for k, v in sorted(labels.items()) if (k, v) not in shared) for labels in everything]
    return [" ".join(part for part in (legend, name) if part) or query for name in own]


def _filled(legend: str, labels: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda slot: labels.get(slot[1], ""), legend).strip()
