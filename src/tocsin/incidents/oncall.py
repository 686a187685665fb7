"""On-call mathematics: who holds the pager at an instant, computed from wall time and zone, never from stored shifts.

    handoff k = resolve(anchor + k x every x unit), for every integer k
    on call   = users[K mod n], K = the largest k with handoff k <= t
    the last layer with somebody wins; overrides follow in order of creation

A wall time that exists twice means its first occurrence, the end of a restriction its last (coverage never shrinks); one that
does not exist means the first instant after the gap. Intervals are half-open. Months clamp to the month's end, counted from the
anchor.
"""

from __future__ import annotations

import bisect
import calendar
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
NEXT_CHANGE_MS = 70 * 86_400_000
"""How far `next_change` looks."""

People = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rotation:
    """Turns of equal length. `unit` is hours, days, weeks or months; a turn may be held by several people."""

    turns: tuple[People, ...]
    anchor: datetime
    """Wall time without zone, of handoff 0."""
    unit: str = "weeks"
    every: int = 1


@dataclass(frozen=True, slots=True)
class Window:
    """A restriction: on each of `days` (0 = Monday) from `start_minute` of the day for `length_minutes`."""

    days: tuple[int, ...]
    start_minute: int
    length_minutes: int


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    rotation: Rotation
    time_zone: str
    start: datetime | None = None
    """Wall time; None = for ever."""
    end: datetime | None = None
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Override:
    """`set` puts `users` in place, `add` joins them, `swap` exchanges `source` and `target`, within [start_ms, end_ms)."""

    start_ms: int
    end_ms: int
    mode: str = "set"
    users: People = ()
    source: str = ""
    target: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    name: str
    time_zone: str
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class Shift:
    start_ms: int
    end_ms: int
    users: People
    """Sorted."""


# -- questions --


def oncall_at(schedule: Schedule, t_ms: int) -> People:
    """Who is on call at `t_ms`, sorted; empty = nobody."""
    return tuple(sorted(_with_overrides(schedule.overrides, _layered(schedule.layers, t_ms), t_ms)))


def oncall_why(schedule: Schedule, t_ms: int) -> str:
    """What put them there, for the timeline: the layer's name, and whether an override applies."""
    layer = next((layer.name for layer in reversed(schedule.layers) if _holders(layer, t_ms)), "")
    overridden = any(o.start_ms <= t_ms < o.end_ms for o in schedule.overrides)
    parts = [part for part in (f"layer {layer}" if layer else "", "override" if overridden else "") if part]
    return f"schedule {schedule.name}" + (f", {', '.join(parts)}" if parts else "")


def shifts(schedule: Schedule, start_ms: int, end_ms: int) -> list[Shift]:
    """Shifts in [start_ms, end_ms), clipped to it, merged while the people stay; uncovered time is left out."""
    return [shift for shift in _spans(schedule, start_ms, end_ms) if shift.users]


def gaps(schedule: Schedule, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """When nobody is on call in [start_ms, end_ms)."""
    return [(span.start_ms, span.end_ms) for span in _spans(schedule, start_ms, end_ms) if not span.users]


def next_change(schedule: Schedule, after_ms: int) -> int | None:
    """The first instant after `after_ms` at which the people change, within 70 days."""
    now = oncall_at(schedule, after_ms)
    for t_ms in _boundaries(schedule, after_ms, after_ms + NEXT_CHANGE_MS):
        if t_ms > after_ms and oncall_at(schedule, t_ms) != now:
            return t_ms
    return None


def seconds_by_user(schedule: Schedule, start_ms: int, end_ms: int) -> dict[str, int]:
    """How long each person is on call in the window; everybody of a shared turn counts in full."""
    total: dict[str, int] = {}
    for shift in shifts(schedule, start_ms, end_ms):
        for user in shift.users:
            total[user] = total.get(user, 0) + shift.end_ms - shift.start_ms
    return {user: ms // 1000 for user, ms in sorted(total.items())}


# -- layers and overrides --


def _layered(layers: Sequence[Layer], t_ms: int) -> People:
    for layer in reversed(layers):
        if holders := _holders(layer, t_ms):
            return holders
    return ()


def _holders(layer: Layer, t_ms: int) -> People:
    """Who holds this layer at `t_ms`; nobody outside its validity and its windows."""
    if layer.start is not None and t_ms < resolve(layer.start, layer.time_zone):
        return ()
    if layer.end is not None and t_ms >= resolve(layer.end, layer.time_zone):
        return ()
    if not layer.rotation.turns or (layer.windows and not _in_window(layer, t_ms)):
        return ()
    turns = layer.rotation.turns
    return turns[turn_number(layer.rotation, layer.time_zone, t_ms) % len(turns)]


def _with_overrides(overrides: Sequence[Override], people: People, t_ms: int) -> set[str]:
    held = set(people)
    for override in overrides:
        if not override.start_ms <= t_ms < override.end_ms:
            continue
        if override.mode == "set":
            held = set(override.users)
        elif override.mode == "add":
            held |= set(override.users)
        elif override.mode == "swap":
            exchange = {override.source: override.target, override.target: override.source}
            held = {exchange.get(user, user) for user in held}
    return held


# -- rotations --


def turn_number(rotation: Rotation, time_zone: str, t_ms: int) -> int:
    """K, the largest k whose handoff is not after `t_ms`."""
    k = _guess(rotation, wall_time(t_ms, time_zone))
    while _handoff(rotation, time_zone, k) > t_ms:
        k -= 1
    while _handoff(rotation, time_zone, k + 1) <= t_ms:
        k += 1
    return k


def _guess(rotation: Rotation, wall: datetime) -> int:
    """A turn near `wall`; exact but for the zone's changes of offset and clamped months."""
    anchor = rotation.anchor
    if rotation.unit == "months":
        return ((wall.year - anchor.year) * 12 + wall.month - anchor.month) // rotation.every
    return (wall - anchor) // (_length(rotation.unit) * rotation.every)


def _length(unit: str) -> timedelta:
    return {"hours": timedelta(hours=1), "days": _DAY, "weeks": 7 * _DAY}[unit]


def _handoff(rotation: Rotation, time_zone: str, k: int) -> int:
    return resolve(_handoff_wall(rotation, k), time_zone)


def _handoff_wall(rotation: Rotation, k: int) -> datetime:
    anchor = rotation.anchor
    if rotation.unit != "months":
        return anchor + k * rotation.every * _length(rotation.unit)
    months = anchor.year * 12 + anchor.month - 1 + k * rotation.every
    year, month = divmod(months, 12)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


# -- restrictions --


def _in_window(layer: Layer, t_ms: int) -> bool:
    return any(start <= t_ms < end for start, end in _occurrences(layer, t_ms, t_ms))


def _occurrences(layer: Layer, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """Resolved windows that may touch [start_ms, end_ms]; a few that do not are harmless."""
    for window in layer.windows:
        # Two days of margin: one for the zone's largest change of offset, one because a window names its start day.
        day = wall_time(start_ms, layer.time_zone).date() - timedelta(days=window.length_minutes // 1440 + 2)
        last = wall_time(end_ms, layer.time_zone).date() + _DAY
        while day <= last:
            if day.weekday() in window.days:
                wall = datetime.combine(day, datetime.min.time()) + timedelta(minutes=window.start_minute)
                until = wall + timedelta(minutes=window.length_minutes)
                yield resolve(wall, layer.time_zone), resolve(until, layer.time_zone, last=True)
            day += _DAY


# -- spans --


def _spans(schedule: Schedule, start_ms: int, end_ms: int) -> list[Shift]:
    """The whole of [start_ms, end_ms) cut where the people change, uncovered spans included."""
    out: list[Shift] = []
    edges = [t for t in _boundaries(schedule, start_ms, end_ms) if start_ms < t < end_ms]
    for left, right in zip([start_ms, *edges], [*edges, end_ms], strict=True):
        users = oncall_at(schedule, left)
        if out and out[-1].users == users:
            out[-1] = Shift(out[-1].start_ms, right, users)
        elif left < right:
            out.append(Shift(left, right, users))
    return out


def _boundaries(schedule: Schedule, start_ms: int, end_ms: int) -> list[int]:
    """Every instant in [start_ms, end_ms] at which the people may change, ascending."""
    edges: set[int] = set()
    for layer in schedule.layers:
        edges.update(_layer_boundaries(layer, start_ms, end_ms))
    for override in schedule.overrides:
        edges.update((override.start_ms, override.end_ms))
    ordered = sorted(edges)
    return ordered[bisect.bisect_left(ordered, start_ms) : bisect.bisect_right(ordered, end_ms)]


def _layer_boundaries(layer: Layer, start_ms: int, end_ms: int) -> Iterable[int]:
    for wall in (layer.start, layer.end):
        if wall is not None:
            yield resolve(wall, layer.time_zone)
    if len(layer.rotation.turns) > 1:
        k = turn_number(layer.rotation, layer.time_zone, start_ms)
        while (t_ms := _handoff(layer.rotation, layer.time_zone, k)) <= end_ms:
            yield t_ms
            k += 1
    for start, end in _occurrences(layer, start_ms, end_ms):
        yield start
        yield end


# -- wall time --


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def wall_time(t_ms: int, time_zone: str) -> datetime:
    """The local date and time without zone."""
    return (_EPOCH + timedelta(milliseconds=t_ms)).astimezone(_zone(time_zone)).replace(tzinfo=None)


@lru_cache(maxsize=65536)
def resolve(wall: datetime, time_zone: str, *, last: bool = False) -> int:
    """The instant of a wall time: the first of two (or the `last`); the end of the gap when there is none."""
    zone = _zone(time_zone)
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return _ms(max(first, second) if last else first)
    # Inside a gap fold 0 counts with the offset before it and fold 1 with the one after: the change lies between the two.
    return _ms(_change(min(first, second), max(first, second), zone))


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant in (before, after] at which the zone's offset becomes that of `after`, to the second."""
    offset = after.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return before + timedelta(seconds=high)


def _ms(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)
