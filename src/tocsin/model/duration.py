"""Durations as Prometheus writes them: `1d2h30m`, `500ms`. Inside Tocsin a duration is an int of milliseconds."""

from __future__ import annotations

import re

_UNITS_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PATTERN = re.compile(r"^(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?$")
_LONGEST_MS = (2**63 - 1) // 1_000_000


def parse_duration_ms(text: str) -> int:
    """Milliseconds of `1h30m`; units in falling order, each at most once; `0` alone is zero.

    Raises ValueError with what was expected.
    """
    if text == "0":
        return 0
    match = _PATTERN.match(text)
    if not text or match is None:
        raise ValueError(f"not a valid duration string: {text!r} (expected something like 30s, 5m or 1h30m)")
    total = sum(int(n) * unit for n, unit in zip(match.groups(), _UNITS_MS.values(), strict=True) if n)
    if total > _LONGEST_MS:
        raise ValueError(f"duration out of range: {text!r}")
    return total


def duration_setting_ms(value: object) -> int:
    """Milliseconds of a duration in a file or a form, where a number without a unit would be a guess. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("expected a duration such as 30s, 5m or 1h30m")
    if isinstance(value, int) and value != 0:
        raise ValueError(f"expected a duration with a unit such as {value}s or {value}m")
    return parse_duration_ms(str(value))


def format_duration(ms: int) -> str:
    """The shortest exact text, as Prometheus prints a duration: 90_000 -> `1m30s`, 0 -> `0s`."""
    if ms == 0:
        return "0s"
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    out = []
    for unit, exact_only in (
        ("y", True),
        ("w", True),
        ("d", False),
        ("h", False),
        ("m", False),
        ("s", False),
        ("ms", False),
    ):
        size = _UNITS_MS[unit]
        if exact_only and ms % size:
            continue
        count, ms = divmod(ms, size)
        if count:
            out.append(f"{count}{unit}")
    return sign + "".join(out)


def human_duration(ms: int) -> str:
    """For people: the two largest parts, `14m 8s`, `2d 3h`; below a second `0.4s`."""
    if ms < 1000:
        return f"{ms / 1000:.1f}s" if ms else "0s"
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, ms = divmod(ms, _UNITS_MS[unit])
        if count or parts:
            parts.append(f"{count}{unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0") or len(parts) == 1)
