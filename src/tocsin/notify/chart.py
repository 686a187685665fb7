"""The chart of an alert or a panel as SVG and PNG: lines, the threshold, and since when. Pure, without a browser.

Columns in, text out: t_ms int64 [m], values float64 [k, m] with NaN where there is no sample; gaps are drawn as gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from html import escape

import numpy as np
from numpy.typing import NDArray

from tocsin.notify.chart_look import LIGHT, MOST_LINES, Look
from tocsin.notify.figures import figure, in_unit

__all__ = ["HEIGHT", "MOST_LINES", "WIDTH", "Chart", "Size", "cut", "figure", "png", "svg"]

WIDTH, HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 56
_NICE = (1, 2, 2.5, 5, 10)
_HOUR_MS = 3_600_000
FONT = "DejaVu Sans, Liberation Sans, Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Size:
    """In CSS pixels."""

    width: int = WIDTH
    height: int = HEIGHT


_USUAL = Size()


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn. `threshold` None = no line; `since_ms` 0 = nothing is shaded."""

    title: str
    names: tuple[str, ...]
    t_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    threshold: float | None = None
    since_ms: int = 0
    left_out: int = 0
    """Series that are not drawn."""
    unit: str = ""
    limits: tuple[float, ...] = ()
    """Lines across besides the threshold."""

    @property
    def across(self) -> list[float]:
        return [x for x in (self.threshold, *self.limits) if x is not None and math.isfinite(x)]


def svg(chart: Chart, *, look: Look = LIGHT, size: Size = _USUAL, zone: tzinfo = UTC, label: str = "") -> str:
    """The drawing; every text is escaped. `label`: what it is called where its title stands beside it."""
    low, high = _range(chart)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    area = _Area(int(chart.t_ms[0]), int(chart.t_ms[-1]), low, high, size)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size.width}" height="{size.height}"'
        f' viewBox="0 0 {size.width} {size.height}" font-family="{FONT}" font-size="12" role="img" class="chart">',
        f"<title>{escape(cut(label or chart.title, 200))}</title>",
        f'<rect width="{size.width}" height="{size.height}" {look.fill("paper")}/>',
        f'<text x="16" y="24" font-size="14" font-weight="bold" {look.fill("ink")}>'
        f"{escape(cut(chart.title, size.width // 9 + 4))}</text>",
        *_shade(chart, area, look),
        *_grid(area, ticks, chart.unit, look, zone),
        *_lines(chart, area, look),
        *_across(chart, area, look),
        *_legend(chart, size, look),
        "</svg>",
    ]
    return "".join(parts)


def png(drawing: str) -> bytes:
    """Raises ValueError when the extra `charts` is not installed or the drawing cannot be rendered."""
    try:
        import resvg_py
    except ImportError:
        raise ValueError("chart images need the extra charts: pip install 'tocsin[charts]'") from None
    return bytes(resvg_py.svg_to_bytes(svg_string=drawing))


@dataclass(frozen=True, slots=True)
class _Area:
    start_ms: int
    end_ms: int
    low: float
    high: float
    size: Size

    @property
    def right(self) -> int:
        return self.size.width - _RIGHT

    @property
    def bottom(self) -> int:
        return self.size.height - _BOTTOM

    def x(self, t_ms: float) -> float:
        return _LEFT + (self.right - _LEFT) * (t_ms - self.start_ms) / max(self.end_ms - self.start_ms, 1)

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - _TOP) * (value - self.low) / (self.high - self.low)


def _range(chart: Chart) -> tuple[float, float]:
    """What the y axis has to show: the values, the threshold, and zero where that is near."""
    seen = chart.values[np.isfinite(chart.values)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    low, high = min(low, *chart.across, low), max(high, *chart.across, high)
    if low > 0 and low < high * 0.6:
        low = 0.0
    if high - low <= 1e-9 * max(abs(high), 1e-300):
        low, high = min(low - 0.5, 0.0) if low <= 0.5 else low * 0.9, high + max(abs(high) * 0.1, 0.5)
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Four to six round figures that span the range."""
    raw = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * nice for nice in _NICE if unit * nice >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def _grid(area: _Area, ticks: Sequence[float], unit: str, look: Look, zone: tzinfo) -> Iterator[str]:
    for tick in ticks:
        y = area.y(tick)
        yield f'<line x1="{_LEFT}" x2="{area.right}" y1="{y:.1f}" y2="{y:.1f}" {look.stroke("grid")}/>'
        text = escape(in_unit(tick, unit))
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" {look.fill("ink")}>{text}</text>'
    parts = 4 if area.size.width >= 480 else 2
    for n in range(parts + 1):
        t_ms = area.start_ms + (area.end_ms - area.start_ms) * n / parts
        text = escape(_moment(t_ms, area.end_ms - area.start_ms, zone, named=n == 0))
        anchor = "start" if n == 0 else "end" if n == parts else "middle"
        place = f'x="{area.x(t_ms):.1f}" y="{area.bottom + 18}" text-anchor="{anchor}"'
        yield f"<text {place} {look.fill('ink')}>{text}</text>"


def _moment(t_ms: float, span_ms: int, zone: tzinfo, *, named: bool) -> str:
    """As much of the date as the span needs; the first names the zone."""
    form = "%H:%M" if span_ms <= 36 * _HOUR_MS else "%d %b %H:%M" if span_ms <= 240 * _HOUR_MS else "%d %b"
    return datetime.fromtimestamp(t_ms / 1000, zone).strftime(f"{form} %Z" if named else form)


def _shade(chart: Chart, area: _Area, look: Look) -> Iterator[str]:
    if area.start_ms < chart.since_ms < area.end_ms:
        x = area.x(chart.since_ms)
        size = f'width="{area.right - x:.1f}" height="{area.bottom - _TOP}"'
        yield f'<rect x="{x:.1f}" y="{_TOP}" {size} {look.fill("critical")} opacity="0.08"/>'


def _lines(chart: Chart, area: _Area, look: Look) -> Iterator[str]:
    for number, row in enumerate(chart.values[:MOST_LINES]):
        for path in _paths(chart.t_ms, row, area):
            yield f'<path d="{path}" fill="none" {look.stroke(str(number))} stroke-width="2" stroke-linecap="round"/>'


def _paths(t_ms: NDArray[np.int64], row: NDArray[np.float64], area: _Area) -> Iterator[str]:
    """One path for each run of samples; at most a few hundred points, so a loop is fine."""
    points: list[str] = []
    for t, value in zip(t_ms.tolist(), row.tolist(), strict=True):
        if math.isfinite(value):
            points.append(f"{area.x(t):.1f} {area.y(value):.1f}")
        elif points:
            yield _path(points)
            points = []
    if points:
        yield _path(points)


def _path(points: list[str]) -> str:
    return f"M{points[0]}h0.1" if len(points) == 1 else "M" + "L".join(points)


def _across(chart: Chart, area: _Area, look: Look) -> Iterator[str]:
    for value in chart.across:
        y = area.y(value)
        line = f'x1="{_LEFT}" x2="{area.right}" y1="{y:.1f}" y2="{y:.1f}"'
        yield f'<line {line} {look.stroke("critical")} stroke-dasharray="6 4"/>'
        text = escape(f"limit {in_unit(value, chart.unit)}")
        yield f'<text x="{_LEFT + 4}" y="{y - 5:.1f}" {look.fill("critical")}>{text}</text>'


def _legend(chart: Chart, size: Size, look: Look) -> Iterator[str]:
    """Names below the axis, as many as fit on one line."""
    x, y, left_out = _LEFT, size.height - 14, chart.left_out
    for n, name in enumerate(chart.names[:MOST_LINES]):
        text = cut(name, 44)
        width = 22 + round(6.8 * len(text))
        if x + width > size.width - 90 and n:
            left_out += len(chart.names[:MOST_LINES]) - n
            break
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" {look.fill(str(n))}/>'
        yield f'<text x="{x + 15}" y="{y}" {look.fill("ink")}>{escape(text)}</text>'
        x += width
    if left_out:
        yield f'<text x="{size.width - _RIGHT}" y="{y}" text-anchor="end" {look.fill("ink")}>and {left_out} more</text>'


def cut(text: str, limit: int) -> str:
    """One line of printable characters, at most `limit`."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
