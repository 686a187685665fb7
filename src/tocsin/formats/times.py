"""RFC 3339 text and milliseconds since 1970 UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
ZERO_TEXT = "0001-01-01T00:00:00Z"
"""Go's zero time: "no time" in Alertmanager's and Prometheus's JSON."""


def parse_rfc3339_ms(text: str) -> int:
    """Milliseconds of `2026-01-01T00:00:00.5+01:00`; Go's zero time is 0. Raises ValueError."""
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    if year == 1:
        return 0
    millis = int((match[7] or "0").ljust(3, "0")[:3])
    zone = match[8] or "Z"
    base = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    offset_ms = 0
    if zone not in "Zz":
        sign = -1 if zone[0] == "-" else 1
        digits = zone[1:].replace(":", "")
        offset_ms = sign * (int(digits[:2]) * 60 + int(digits[2:])) * 60_000
    return int(base.timestamp()) * 1000 + millis - offset_ms


def format_rfc3339(t_ms: int) -> str:
    """With milliseconds, in UTC: `2026-01-01T00:00:00.000Z`; 0 is Go's zero time."""
    if t_ms == 0:
        return ZERO_TEXT
    seconds, millis = divmod(t_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{millis:03d}Z"
