"""Figures on drawn charts, short and in their unit, as the dashboard writes them (ui/src/lib/format.ts)."""

from __future__ import annotations

import math

_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def figure(value: float) -> str:
    """Short for an axis: 1.5k, 20M, 0.05."""
    size = abs(value)
    for limit, letter in _SI:
        if size >= limit:
            return f"{value / limit:.4g}{letter}"
    return f"{value:.4g}" if size >= 1e-4 or value == 0 else f"{value:.1e}"


def in_unit(value: float, unit: str) -> str:
    """`unit` is one of a dashboard's panel; no number is a dash."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    match unit:
        case "s" | "seconds":
            return _seconds(value)
        case "bytes":
            return _bytes(value)
        case "bytes/s":
            return f"{_bytes(value)}/s"
        case "ratio" | "%":
            return _percent(value)
        case "days":
            return f"{figure(value)} d"
        case "bool":
            return "yes" if value else "no"
        case _:
            return f"{figure(value)} {unit}" if unit else figure(value)


def _percent(value: float) -> str:
    """Never rounds a fault away: 0.99999 is not 100 %."""
    for places in (1, 2, 3, 4):
        text = f"{value * 100:.{places}f}"
        if value >= 1 or float(text) < 100:
            return f"{text.rstrip('0').rstrip('.')} %"
    return "> 99.9999 %"


def _seconds(value: float) -> str:
    size = abs(value)
    if size == 0:
        return "0 s"
    if size < 0.001:
        return f"{value * 1e6:.3g} µs"
    if size < 1:
        return f"{value * 1000:.3g} ms"
    for limit, letter in ((86_400, "d"), (3600, "h"), (120, "min")):
        if size >= limit:
            return f"{value / (60 if letter == 'min' else limit):.3g} {letter}"
    return f"{value:.3g} s"


def _bytes(value: float) -> str:
    power = 0 if abs(value) < 1 else min(int(math.log2(abs(value)) // 10), len(_IEC) - 1)
    return f"{value / 1024**power:.4g} {_IEC[power]}"
