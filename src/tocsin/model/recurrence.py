"""Recurring times: the part of RFC 5545's RRULE that planned work needs, in local time of a zone. Pure.

Supported: FREQ=DAILY|WEEKLY|MONTHLY|YEARLY, INTERVAL, BYDAY (`MO`, `2TU`, `-1FR`), BYMONTHDAY (also negative), BYMONTH, COUNT,
UNTIL, WKST. An occurrence begins at the wall time of the first one; a wall time that does not exist that day begins at the first
instant after the gap, one that exists twice at its first.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_LONGEST_COUNT = 10_000


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A parsed rule. `by_day` are (ordinal or 0, weekday with Monday 0); empty parts do not restrict."""

    frequency: str
    interval: int = 1
    by_day: tuple[tuple[int, int], ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_month: tuple[int, ...] = ()
    count: int = 0
    until: date | None = None
    week_start: int = 0


def parse_rrule(text: str) -> Recurrence:
    """Raises ValueError naming the part that cannot be used."""
    parts: dict[str, str] = {}
    for part in text.removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name.upper() in parts:
            raise ValueError(f"not an RRULE part: {part!r} (expected something like FREQ=WEEKLY;BYDAY=SU)")
        parts[name.upper()] = value.upper()
    frequency = parts.pop("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise ValueError(f"FREQ must be one of {', '.join(_FREQUENCIES)}")
    rule = Recurrence(
        frequency,
        interval=_number(parts.pop("INTERVAL", "1"), "INTERVAL", 1, 1000),
        by_day=tuple(_weekday(day, frequency) for day in _list(parts.pop("BYDAY", ""))),
        by_month_day=tuple(_month_day(day) for day in _list(parts.pop("BYMONTHDAY", ""))),
        by_month=tuple(_number(month, "BYMONTH", 1, 12) for month in _list(parts.pop("BYMONTH", ""))),
        count=_number(parts.pop("COUNT", "0"), "COUNT", 0, _LONGEST_COUNT),
        until=_until(parts.pop("UNTIL", "")),
        week_start=_DAYS.index(parts.pop("WKST", "MO")),
    )
    if parts:
        raise ValueError(f"the RRULE part {next(iter(parts))} is not supported")
    return rule


def _list(text: str) -> list[str]:
    return text.split(",") if text else []


def _number(text: str, name: str, least: int, most: int) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"{name} must be a number from {least} to {most}, got {text!r}")
    return int(text)


def _month_day(text: str) -> int:
    digits = text.removeprefix("-").removeprefix("+")
    if not digits.isdigit() or not 1 <= int(digits) <= 31:
        raise ValueError(f"BYMONTHDAY must be 1 to 31 or -31 to -1, got {text!r}")
    return int(text)


def _weekday(text: str, frequency: str) -> tuple[int, int]:
    ordinal, day = text[:-2], text[-2:]
    if day not in _DAYS or (ordinal and not ordinal.lstrip("+-").isdigit()):
        raise ValueError(f"BYDAY must be days such as MO or -1FR, got {text!r}")
    number = int(ordinal or 0)
    if number and frequency != "MONTHLY":
        raise ValueError(f"BYDAY={text} needs FREQ=MONTHLY")
    if abs(number) > 5:
        raise ValueError(f"a month has no {text}")
    return number, _DAYS.index(day)


def _until(text: str) -> date | None:
    if not text:
        return None
    try:
        return datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise ValueError(f"UNTIL must be a date such as 20261231, got {text!r}") from None


@dataclass(frozen=True, slots=True)
class Occurrences:
    """A rule with its first occurrence: wall time `start` in `time_zone`, each `duration_ms` long."""

    rule: Recurrence | None
    """None = once."""
    start: datetime
    """Naive wall time."""
    duration_ms: int
    time_zone: str = "UTC"
    ended: tuple[tuple[int, int], ...] = ()
    """(start_ms, end_ms) of occurrences that somebody ended before their time."""

    def holding(self, t_ms: int) -> tuple[int, int] | None:
        """The occurrence that holds at `t_ms` as [start_ms, end_ms), the latest to begin if several do."""
        zone = _zone(self.time_zone)
        today = datetime.fromtimestamp(t_ms / 1000, zone).date()
        # One day more than the duration reaches back: a day may be 25 hours long, and wall days differ from ours.
        for back in range(-1, self.duration_ms // 86_400_000 + 2):
            day = today - timedelta(days=back)
            if not self._on(day):
                continue
            start_ms = _instant_ms(datetime.combine(day, self.start.time()), zone)
            if start_ms <= t_ms < self._end(start_ms):
                return start_ms, self._end(start_ms)
        return None

    def between(self, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """Every occurrence [start_ms, end_ms) that overlaps [from_ms, to_ms), in order."""
        zone = _zone(self.time_zone)
        day = datetime.fromtimestamp((from_ms - self.duration_ms) / 1000, zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(to_ms / 1000, zone).date()
        found = []
        while day <= last:
            if self._on(day):
                start_ms = _instant_ms(datetime.combine(day, self.start.time()), zone)
                if start_ms < to_ms and self._end(start_ms) > from_ms:
                    found.append((start_ms, self._end(start_ms)))
            day += timedelta(days=1)
        return found

    def _end(self, start_ms: int) -> int:
        return next((end_ms for begun_ms, end_ms in self.ended if begun_ms == start_ms), start_ms + self.duration_ms)

    def _on(self, day: date) -> bool:
        first = self.start.date()
        if self.rule is None or day < first:
            return day == first
        if self.rule.until is not None and day > self.rule.until:
            return False
        if not _matches(self.rule, first, day):
            return False
        return not self.rule.count or _how_many(self.rule, first, day) <= self.rule.count


def _matches(rule: Recurrence, first: date, day: date) -> bool:
    if rule.by_month and day.month not in rule.by_month:
        return False
    if rule.by_month_day and not any(_is_month_day(day, number) for number in rule.by_month_day):
        return False
    if rule.by_day and not any(_is_weekday(day, ordinal, weekday) for ordinal, weekday in rule.by_day):
        return False
    free_day = bool(rule.by_day or rule.by_month_day)
    match rule.frequency:
        case "DAILY":
            return (day - first).days % rule.interval == 0
        case "WEEKLY":
            weeks = (_week_begin(day, rule.week_start) - _week_begin(first, rule.week_start)).days // 7
            return weeks % rule.interval == 0 and (free_day or day.weekday() == first.weekday())
        case "MONTHLY":
            months = (day.year - first.year) * 12 + day.month - first.month
            return months % rule.interval == 0 and (free_day or day.day == first.day)
        case _:
            same_day = free_day or day.day == first.day
            same_month = bool(rule.by_month) or free_day or day.month == first.month
            return (day.year - first.year) % rule.interval == 0 and same_day and same_month


def _week_begin(day: date, week_start: int) -> date:
    return day - timedelta(days=(day.weekday() - week_start) % 7)


def _is_month_day(day: date, number: int) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    return day.day == (number if number > 0 else last + number + 1)


def _is_weekday(day: date, ordinal: int, weekday: int) -> bool:
    if day.weekday() != weekday:
        return False
    if ordinal == 0:
        return True
    last = calendar.monthrange(day.year, day.month)[1]
    return (day.day - 1) // 7 + 1 == ordinal if ordinal > 0 else (last - day.day) // 7 + 1 == -ordinal


@lru_cache(maxsize=256)
def _how_many(rule: Recurrence, first: date, day: date) -> int:
    """Occurrences from the first to `day`, both included; at most one more than the rule allows."""
    number, at = 0, first
    while at <= day and number <= rule.count:
        number += _matches(rule, first, at)
        at += timedelta(days=1)
    return number


def _instant_ms(wall: datetime, zone: ZoneInfo) -> int:
    """The first instant with this wall time; for one that is skipped, the first instant after the gap."""
    aware = wall.replace(tzinfo=zone, fold=0)
    instant = aware.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != wall:
        # In a gap fold=0 reads the time with the offset before it, which lies past the gap by as much as was asked for.
        before, after = aware.utcoffset(), wall.replace(tzinfo=zone, fold=1).utcoffset()
        assert before is not None
        assert after is not None
        instant -= wall - _gap_start(wall, zone, after - before)
    return int(instant.timestamp() * 1000)


def _gap_start(wall: datetime, zone: ZoneInfo, length: timedelta) -> datetime:
    """The first wall time that the gap around `wall` skips, to the minute."""
    start = wall
    for _ in range(int(length.total_seconds() // 60) + 1):
        earlier = start - timedelta(minutes=1)
        if earlier.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == earlier:
            return start
        start = earlier
    return start


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
