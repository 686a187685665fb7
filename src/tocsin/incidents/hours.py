"""When in somebody's day an instant lies: work, sleep, or off (evenings, mornings, weekends), by the wall clock of their zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from tocsin.incidents.oncall import resolve, wall_time

Kind = Literal["work", "sleep", "off"]
KINDS: tuple[Kind, ...] = ("work", "sleep", "off")

WORK_HOURS = (9, 18)
"""Monday to Friday."""
SLEEP_HOURS = (23, 7)
_EDGES = (0, SLEEP_HOURS[1], WORK_HOURS[0], WORK_HOURS[1], SLEEP_HOURS[0])


def kind_at(t_ms: int, time_zone: str) -> Kind:
    wall = wall_time(t_ms, time_zone)
    return _kind(wall.weekday(), wall.hour)


def _kind(weekday: int, hour: int) -> Kind:
    if hour >= SLEEP_HOURS[0] or hour < SLEEP_HOURS[1]:
        return "sleep"
    return "work" if weekday < 5 and WORK_HOURS[0] <= hour < WORK_HOURS[1] else "off"


def split_ms(start_ms: int, end_ms: int, time_zone: str) -> dict[Kind, int]:
    """How much of [start, end) lies in each kind; the sum is its length, also when the clocks change."""
    found: dict[Kind, int] = dict.fromkeys(KINDS, 0)
    at_ms = start_ms
    for edge_ms in (*_edges(start_ms, end_ms, time_zone), end_ms):
        if edge_ms > at_ms:
            found[kind_at(at_ms, time_zone)] += edge_ms - at_ms
            at_ms = edge_ms
    return found


def _edges(start_ms: int, end_ms: int, time_zone: str) -> Iterator[int]:
    """Instants within at which the kind may change, ascending."""
    day = wall_time(start_ms, time_zone).replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        for hour in _EDGES:
            t_ms = resolve(day + timedelta(hours=hour), time_zone)
            if t_ms >= end_ms:
                return
            if t_ms > start_ms:
                yield t_ms
        day += timedelta(days=1)
