"""How a schedule's burden is shared, when it changes hands, and a month of it as a calendar shows it. Pure."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tocsin.incidents.hours import KINDS, split_ms
from tocsin.incidents.oncall import Schedule, Shift, gaps, resolve, shifts, wall_time
from tocsin.incidents.schedule import format_instant

_DAY = timedelta(days=1)
_MOST_CHANGES = 1000


def fairness(schedule: Schedule, zones: Mapping[str, str], start_ms: int, end_ms: int) -> dict[str, Any]:
    """Seconds on call per person and kind of hour in their own zone, shifts, nights, and how even it is.

    `share` is of all held time; `balance` is 1 when everybody's time is equal, 0 when one person has it all.
    """
    people: dict[str, dict[str, Any]] = {}
    for shift in shifts(schedule, start_ms, end_ms):
        for user in shift.users:
            zone = zones.get(user, schedule.time_zone)
            row = people.setdefault(user, {"who": user, "seconds": 0, "shifts": 0, "nights": 0, **dict.fromkeys(KINDS, 0)})
            row["seconds"] += (shift.end_ms - shift.start_ms) // 1000
            row["shifts"] += 1
            row["nights"] += _nights(shift.start_ms, shift.end_ms, zone)
            for kind, length_ms in split_ms(shift.start_ms, shift.end_ms, zone).items():
                row[kind] += length_ms // 1000
    total = sum(row["seconds"] for row in people.values())
    for row in people.values():
        row["share"] = row["seconds"] / total if total else 0.0
    uncovered = sum(end - start for start, end in gaps(schedule, start_ms, end_ms))
    return {
        "people": [people[name] for name in sorted(people)],
        "balance": _balance([row["seconds"] for row in people.values()]),
        "coverage": 1 - uncovered / (end_ms - start_ms) if end_ms > start_ms else 1.0,
    }


def _balance(seconds: list[int]) -> float:
    """1 - the mean distance from an equal share, as a part of the largest such distance there can be."""
    if len(seconds) < 2 or not sum(seconds):
        return 1.0
    equal = sum(seconds) / len(seconds)
    worst = 2 * equal * (len(seconds) - 1)
    return 1 - sum(abs(value - equal) for value in seconds) / worst


def _nights(start_ms: int, end_ms: int, time_zone: str) -> int:
    """Nights (by their 03:00) within."""
    day = wall_time(start_ms, time_zone).replace(hour=3, minute=0, second=0, microsecond=0)
    count = 0
    while (t_ms := resolve(day, time_zone)) < end_ms:
        count += t_ms >= start_ms
        day += _DAY
    return count


def changes(schedule: Schedule, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Every hand-off in [start, end): when, who went, who came."""
    spans = [(s.start_ms, s.end_ms, s.users) for s in shifts(schedule, start_ms, end_ms)]
    spans = sorted([*spans, *((start, end, ()) for start, end in gaps(schedule, start_ms, end_ms))])
    return [
        {"at": format_instant(after[0]), "before": list(before[2]), "after": list(after[2])} for before, after in pairwise(spans)
    ][:_MOST_CHANGES]


def month(schedule: Schedule, year: int, number: int) -> dict[str, Any]:
    """Whole weeks (from Monday) around a month of the schedule's zone: each day with who holds it when."""
    first = datetime(year, number, 1)  # noqa: DTZ001 - wall time is meant
    last = first.replace(day=calendar.monthrange(year, number)[1])
    day, until = first - first.weekday() * _DAY, last + (7 - last.weekday()) * _DAY
    held = shifts(schedule, resolve(day, schedule.time_zone), resolve(until, schedule.time_zone))
    days = []
    while day < until:
        start_ms, end_ms = resolve(day, schedule.time_zone), resolve(day + _DAY, schedule.time_zone)
        within = [
            Shift(max(s.start_ms, start_ms), min(s.end_ms, end_ms), s.users)
            for s in held
            if s.start_ms < end_ms and s.end_ms > start_ms
        ]
        covered = sum(shift.end_ms - shift.start_ms for shift in within)
        days.append(
            {
                "date": day.date().isoformat(),
                "in_month": day.month == number,
                "start_ms": start_ms,
                "end_ms": end_ms,
                "segments": [{"start_ms": s.start_ms, "end_ms": s.end_ms, "users": list(s.users)} for s in within],
                "gap_seconds": (end_ms - start_ms - covered) // 1000,
            }
        )
        day += _DAY
    return {"month": f"{year:04d}-{number:02d}", "days": days}
