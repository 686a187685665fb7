"""The chart of an alert as SVG and PNG: lines, the threshold, and since when. Pure, without a browser.

Columns in, text out: t_ms int64 [m], values float64 [k, m] with NaN where there is no sample; gaps are drawn as gaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 56
# Okabe and Ito's palette without vermilion, which stays the threshold's.
_COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#8A6D00", "#56B4E9", "#5B6577", "#33415C", "#E69F00")
_CRITICAL, _INK, _GRID, _PAPER = "#B3261E", "#1A1F2B", "#DFE3EA", "#FFFFFF"
MOST_LINES = len(_COLOURS)
_NICE = (1, 2, 2.5, 5, 10)


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


def svg(chart: Chart) -> str:
    """The drawing; every text is escaped."""
    low, high = _range(chart)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    area = _Area(int(chart.t_ms[0]), int(chart.t_ms[-1]), low, high)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="DejaVu Sans, Liberation Sans, Arial, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{_PAPER}"/>',
        f'<text x="16" y="24" font-size="14" font-weight="bold" fill="{_INK}">{escape(_cut(chart.title, 84))}</text>',
        *_shade(chart, area),
        *_grid(area, ticks),
        *_lines(chart, area),
        *_threshold(chart, area),
        *_legend(chart),
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

    def x(self, t_ms: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (t_ms - self.start_ms) / max(self.end_ms - self.start_ms, 1)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - self.low) / (self.high - self.low)


def _range(chart: Chart) -> tuple[float, float]:
    """What the y axis has to show: the values, the threshold, and zero where that is near."""
    seen = chart.values[np.isfinite(chart.values)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    if chart.threshold is not None and math.isfinite(chart.threshold):
        low, high = min(low, chart.threshold), max(high, chart.threshold)
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


def _grid(area: _Area, ticks: Sequence[float]) -> Iterator[str]:
    for tick in ticks:
        y = area.y(tick)
        yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{_INK}">{figure(tick)}</text>'
    for n in range(5):
        t_ms = area.start_ms + (area.end_ms - area.start_ms) * n / 4
        text = datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%H:%M" if n else "%H:%M UTC")
        anchor = "start" if n == 0 else "end" if n == 4 else "middle"
        yield f'<text x="{area.x(t_ms):.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="{anchor}" fill="{_INK}">{text}</text>'


def _shade(chart: Chart, area: _Area) -> Iterator[str]:
    if area.start_ms < chart.since_ms < area.end_ms:
        x = area.x(chart.since_ms)
        height = HEIGHT - _TOP - _BOTTOM
        size = f'width="{WIDTH - _RIGHT - x:.1f}" height="{height}"'
        yield f'<rect x="{x:.1f}" y="{_TOP}" {size} fill="{_CRITICAL}" opacity="0.08"/>'


def _lines(chart: Chart, area: _Area) -> Iterator[str]:
    for row, colour in zip(chart.values[:MOST_LINES], _COLOURS, strict=False):
        for path in _paths(chart.t_ms, row, area):
            yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linecap="round"/>'


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


def _threshold(chart: Chart, area: _Area) -> Iterator[str]:
    if chart.threshold is None or not math.isfinite(chart.threshold):
        return
    y = area.y(chart.threshold)
    yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_CRITICAL}" stroke-dasharray="6 4"/>'
    yield f'<text x="{_LEFT + 4}" y="{y - 5:.1f}" fill="{_CRITICAL}">limit {figure(chart.threshold)}</text>'


def _legend(chart: Chart) -> Iterator[str]:
    """Names below the axis, as many as fit on one line."""
    x, y, left_out = _LEFT, HEIGHT - 14, chart.left_out
    for n, (name, colour) in enumerate(zip(chart.names[:MOST_LINES], _COLOURS, strict=False)):
        text = _cut(name, 44)
        width = 22 + round(6.8 * len(text))
        if x + width > WIDTH - 90:
            left_out += len(chart.names[:MOST_LINES]) - n
            break
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 15}" y="{y}" fill="{_INK}">{escape(text)}</text>'
        x += width
    if left_out:
        yield f'<text x="{WIDTH - _RIGHT}" y="{y}" text-anchor="end" fill="{_INK}">and {left_out} more</text>'


def figure(value: float) -> str:
    """Short for an axis: 1.5k, 20M, 0.05."""
    size = abs(value)
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:.4g}" if size >= 1e-4 or value == 0 else f"{value:.1e}"


def _cut(text: str, limit: int) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
