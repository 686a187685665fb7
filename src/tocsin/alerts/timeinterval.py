"""Named time intervals: is this instant inside, and when does that change next? Pure."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from tocsin.model.route import InclusiveRange, TimeInterval

_MINUTE_MS = 60_000


def contains(interval: TimeInterval, t_ms: int) -> bool:
    """Whether every stated field of the interval holds at `t_ms` in the interval's own time zone."""
    moment = datetime.fromtimestamp(t_ms / 1000, UTC).astimezone(_zone(interval.location))
    minute = moment.hour * 60 + moment.minute
    if interval.times and not any(r.start_minute <= minute < r.end_minute for r in interval.times):
        return False
    if interval.days_of_month and not any(_day_in(r, moment) for r in interval.days_of_month):
        return False
    # Python counts Monday as 0, the configuration Sunday.
    return all(
        not ranges or any(r.begin <= value <= r.end for r in ranges)
        for ranges, value in (
            (interval.months, moment.month),
            (interval.weekdays, (moment.weekday() + 1) % 7),
            (interval.years, moment.year),
        )
    )


def containing(names: Iterable[str], intervals: Mapping[str, tuple[TimeInterval, ...]], t_ms: int) -> tuple[str, ...]:
    """Those of `names` that hold at `t_ms`."""
    return tuple(name for name in names if any(contains(interval, t_ms) for interval in intervals.get(name, ())))


def muted_by(
    mute: Iterable[str], active: tuple[str, ...], intervals: Mapping[str, tuple[TimeInterval, ...]], t_ms: int
) -> tuple[str, ...]:
    """The interval names that keep a route quiet now: mute intervals that hold, or the active ones when none of them holds."""
    if holding := containing(mute, intervals, t_ms):
        return holding
    if active and not containing(active, intervals, t_ms):
        return active
    return ()


def next_look_ms(t_ms: int) -> int:
    """Intervals change at full minutes only: the next one."""
    return (t_ms // _MINUTE_MS + 1) * _MINUTE_MS


def _day_in(days: InclusiveRange, moment: datetime) -> bool:
    last = calendar.monthrange(moment.year, moment.month)[1]
    begin = days.begin if days.begin > 0 else last + days.begin + 1
    end = days.end if days.end > 0 else last + days.end + 1
    if begin > last:
        return False
    return max(begin, -last) <= moment.day <= min(end, last)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
