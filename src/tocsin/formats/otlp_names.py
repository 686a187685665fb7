"""OpenTelemetry's names in Prometheus's words: the "UnderscoreEscapingWithSuffixes" translation.

http.server.request.duration [s]   -> http_server_request_duration_seconds
requests [1], monotonic            -> requests_total
disk.usage [1], gauge              -> disk_usage_ratio
speed [m/s]                        -> speed_meters_per_second
"""

from __future__ import annotations

import re

_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes", "KBy": "kilobytes",
    "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes", "m": "meters", "V": "volts", "A": "amperes", "J": "joules",
    "W": "watts", "g": "grams", "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
_PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NOT_NAME = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_UNIT = re.compile(r"[^a-zA-Z0-9]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def metric_name(name: str, unit: str, *, counter: bool = False, gauge: bool = False) -> str:
    """`counter` = a monotonic sum. Empty when nothing of the name can stay."""
    tokens = [token for token in _NOT_NAME.split(name) if token]
    main, per = _unit_suffixes(unit)
    if main and main not in tokens:
        tokens.append(main)
    if per and per not in tokens:
        tokens += ["per", per]
    if counter:
        tokens = [token for token in tokens if token != "total"] + ["total"]
    if gauge and unit == "1":
        tokens = [token for token in tokens if token != "ratio"] + ["ratio"]
    joined = "_".join(tokens)
    return f"_{joined}" if joined[:1].isdigit() else joined


def unit_name(unit: str) -> str:
    """The unit for metadata."""
    main, per = _unit_suffixes(unit)
    return "_per_".join(part for part in (main, per) if part) if main else f"per_{per}" if per else ""


def _unit_suffixes(unit: str) -> tuple[str, str]:
    """(`bytes`, `second`) of `By/s`. A part with braces is an annotation, not a unit."""
    main, _, per = unit.partition("/")
    main, per = main.strip(), per.strip()
    main = "" if "{" in main or "}" in main else _clean(_UNITS.get(main, main))
    per = "" if "{" in per or "}" in per else _clean(_PER_UNITS.get(per, per))
    return main, per


def _clean(unit: str) -> str:
    return _NOT_UNIT.sub("_", unit).strip("_")


def label_name(key: str) -> str:
    """An attribute's key as a label name."""
    name = _NOT_LABEL.sub("_", key)
    if name[:1].isdigit():
        return f"key_{name}"
    return f"key{name}" if name.startswith("_") and not name.startswith("__") else name
