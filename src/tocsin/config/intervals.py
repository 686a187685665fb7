"""`time_intervals`: named sets of times of day, weekdays, days of the month, months and years."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from tocsin.config.fields import Section
from tocsin.model.route import InclusiveRange, TimeInterval, TimeRange

_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_TIME = re.compile(r"(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)", re.ASCII)


def _minute(value: Any) -> int:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a time of day such as 09:00 (up to 24:00), got {value!r}")
    return 1440 if match[1] is None else int(match[1]) * 60 + int(match[2])


class TimeRangeSection(Section):
    start_time: Annotated[int, BeforeValidator(_minute)]
    end_time: Annotated[int, BeforeValidator(_minute)]

    def build(self) -> TimeRange:
        return TimeRange(self.start_time, self.end_time)


def _time_ranges(value: Any) -> Any:
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict) and {"start_time", "end_time"} <= set(entry):
            start, end = _minute(entry["start_time"]), _minute(entry["end_time"])
            if start >= end:
                raise ValueError("start_time must be before end_time; a range over midnight is written as two")
    return value


def _bounds(text: str, names: tuple[str, ...] = (), offset: int = 0) -> tuple[int, int]:
    """`3`, `monday:friday`, `-3:-1` -> two numbers."""

    def number(part: str) -> int:
        if part in names:
            return names.index(part) + offset
        if names and offset == 0:
            raise ValueError(f"{part!r} is not a weekday")
        try:
            return int(part)
        except ValueError:
            raise ValueError(f"{part!r} is not a number" + (" or a month" if names else "")) from None

    begin, colon, end = text.lower().partition(":")
    if ":" in end:
        raise ValueError(f"expected BEGIN:END, got {text!r}")
    first = number(begin)
    return first, number(end) if colon else first


def _ranges(value: Any, names: tuple[str, ...] = (), offset: int = 0) -> tuple[InclusiveRange, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("expected a list such as ['monday:friday'] or ['1:5']")
    out = []
    for entry in value:
        begin, end = _bounds(str(entry), names, offset)
        out.append(InclusiveRange(begin, end))
    return tuple(out)


def _weekdays(value: Any) -> tuple[InclusiveRange, ...]:
    ranges = _ranges(value, _WEEKDAYS)
    if any(r.begin > r.end for r in ranges):
        raise ValueError("the first weekday must not be after the last (the week begins on sunday)")
    return ranges


def _months(value: Any) -> tuple[InclusiveRange, ...]:
    ranges = _ranges(value, _MONTHS, 1)
    if any(r.begin > r.end for r in ranges):
        raise ValueError("the first month must not be after the last")
    return ranges


def _years(value: Any) -> tuple[InclusiveRange, ...]:
    ranges = _ranges(value)
    if any(r.begin > r.end for r in ranges):
        raise ValueError("the first year must not be after the last")
    return ranges


def _days(value: Any) -> tuple[InclusiveRange, ...]:
    ranges = _ranges(value)
    for days in ranges:
        for day in (days.begin, days.end):
            if day == 0 or not -31 <= day <= 31:
                raise ValueError(f"{day} is not a day of the month: expected 1 to 31, or -31 to -1 counted from its end")
        if days.begin < 0 < days.end:
            raise ValueError("the last day must be negative when the first one is")
        # A month has at least 28 days: a range that is empty in that month is empty in all.
        begin, end = (day if day > 0 else 28 + day for day in (days.begin, days.end))
        if begin > end:
            raise ValueError(f"the last day {days.end} is always before the first day {days.begin}")
    return ranges


def _location(value: Any) -> str:
    name = str(value)
    if name == "Local":
        return _local_zone()
    if name == "":
        return "UTC"
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}; expected an IANA name such as Europe/Paris") from None
    return name


def _local_zone() -> str:
    """The machine's own zone, by the usual signs."""
    if zone := os.environ.get("TZ", "").lstrip(":"):
        return zone
    _, marker, zone = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    return zone if marker else "UTC"


Ranges = tuple[InclusiveRange, ...]


class TimeIntervalSection(Section):
    times: Annotated[tuple[TimeRangeSection, ...], BeforeValidator(_time_ranges)] = ()
    weekdays: Annotated[Ranges, BeforeValidator(_weekdays)] = ()
    days_of_month: Annotated[Ranges, BeforeValidator(_days)] = ()
    months: Annotated[Ranges, BeforeValidator(_months)] = ()
    years: Annotated[Ranges, BeforeValidator(_years)] = ()
    location: Annotated[str, BeforeValidator(_location)] = "UTC"

    def build(self) -> TimeInterval:
        times = tuple(entry.build() for entry in self.times)
        return TimeInterval(times, self.weekdays, self.days_of_month, self.months, self.years, self.location)


class NamedIntervals(Section):
    name: str = Field(min_length=1)
    time_intervals: tuple[TimeIntervalSection, ...] = ()

    def build(self) -> tuple[TimeInterval, ...]:
        return tuple(entry.build() for entry in self.time_intervals)
