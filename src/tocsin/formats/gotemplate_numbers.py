"""Numbers for people in templates: what rule templates and receiver templates share."""

from __future__ import annotations

import math
from typing import Any

from tocsin.formats.goformat import format_float
from tocsin.formats.gotemplate import TemplateError


def number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value.replace("_", ""))
        except ValueError:
            raise TemplateError(f"cannot parse {value!r} as a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TemplateError(f"can't convert {value!r} to a number")
    return float(value)


def g4(value: float) -> str:
    return format_float(value, "g", 4)


def shrunk(value: float, unit: str = "") -> str:
    prefix = ""
    for candidate in "munpfazy":
        if abs(value) >= 1:
            break
        prefix, value = candidate, value * 1000
    return f"{g4(value)}{prefix}{unit}"


def humanize_duration(raw: Any) -> str:
    """Seconds as `1d 2h 3m 4s`."""
    value = number(raw)
    if not math.isfinite(value):
        return g4(value)
    if value == 0:
        return f"{g4(value)}s"
    if abs(value) < 1:
        return shrunk(value, "s")
    sign, value = ("-", -value) if value < 0 else ("", value)
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{g4(value)}s"
