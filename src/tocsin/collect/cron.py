"""Cron expressions in a time zone: five fields, lists, ranges, steps, names. Pure.

Day of month and day of week are joined by "or" when both are restricted, as cron does. A local time that daylight saving
skips is taken an hour later; one that occurs twice counts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_MONTHS = {
    name: i for i, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)
}
_DAYS = {name: i for i, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_SHORT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LONGEST_DAYS = 366 * 9
"""29 February may be eight years away."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 = Sunday."""
    either_day: bool
    """Both day fields are restricted: one of them is enough."""

    def next_after(self, t_ms: int, zone: str) -> int:
        """The first moment after `t_ms`; raises ValueError for an expression that never comes (31 February)."""
        tz = ZoneInfo(zone)
        local = datetime.fromtimestamp(t_ms / 1000, tz)
        day = local.date() - timedelta(days=1)
        for _ in range(_LONGEST_DAYS):
            if self._on(day):
                for hour in self.hours:
                    for minute in self.minutes:
                        found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=tz)
                        found_ms = int(found.astimezone(UTC).timestamp() * 1000)
                        if found_ms > t_ms:
                            return found_ms
            day += timedelta(days=1)
        raise ValueError("this cron expression never comes due")

    def _on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return in_month or in_week if self.either_day else in_month and in_week


def parse_cron(text: str) -> Cron:
    """Raises ValueError with the field that is wrong."""
    fields = _SHORT.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        raise ValueError(f"expected five fields (minute hour day month weekday) or a word such as @daily, got {text!r}")
    minutes = _field(fields[0], "minute", 0, 59, {})
    hours = _field(fields[1], "hour", 0, 23, {})
    days = _field(fields[2], "day", 1, 31, {})
    months = _field(fields[3], "month", 1, 12, _MONTHS)
    weekdays = _field(fields[4], "weekday", 0, 7, _DAYS)
    restricted = not fields[2].startswith("*") and not fields[4].startswith("*")
    return Cron(tuple(sorted(minutes)), tuple(sorted(hours)), days, months, frozenset(day % 7 for day in weekdays), restricted)


def _field(text: str, name: str, low: int, high: int, words: dict[str, int]) -> frozenset[int]:
    out: set[int] = set()
    for part in text.lower().split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if step_text.isdigit() and int(step_text) > 0 else 0
        if slash and not step:
            raise ValueError(f"{name}: {part!r} has no step after the slash")
        if span == "*":
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, name, low, high, words)
            last = _number(end, name, low, high, words) if dash else (high if slash else first)
        if last < first:
            raise ValueError(f"{name}: {part!r} runs backwards")
        out.update(range(first, last + 1, step or 1))
    return frozenset(out)


def _number(text: str, name: str, low: int, high: int, words: dict[str, int]) -> int:
    value = words[text] if text in words else int(text) if text.isdigit() else -1
    if not low <= value <= high:
        raise ValueError(f"{name}: expected {low}-{high}, got {text!r}")
    return value
