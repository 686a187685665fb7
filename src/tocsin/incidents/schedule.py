"""Schedules as people write them (YAML, JSON) <-> values; and the answers to questions about one, as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tocsin.incidents import oncall
from tocsin.incidents.oncall import Layer, Override, People, Rotation, Schedule, Window
from tocsin.model.incident import DAYS

_UNITS = ("hours", "days", "weeks", "months")
_MODES = ("set", "add", "swap")
_CLOCK = re.compile(r"^([01]?\d|2[0-4]):([0-5]\d)$")
_WEEK_MINUTES = 7 * 1440
_LONGEST_MS = 3 * 366 * 86_400_000


class ScheduleError(ValueError):
    """What is wrong, with the field's path in front: `layers[0].period.unit: ...`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


# -- reading --


def parse_schedule(source: Mapping[str, Any], *, name: str = "") -> Schedule:
    """A schedule of the shape in docs/reference/incidents.md. Raises ScheduleError."""
    _only(source, "", "name", "tz", "time_zone", "layers", "overrides")
    time_zone = _zone(source.get("tz", source.get("time_zone", "UTC")), "tz")
    layers = tuple(_layer(layer, f"layers[{i}]", time_zone) for i, layer in enumerate(_list(source.get("layers"), "layers")))
    overrides = tuple(parse_override(o, f"overrides[{i}]") for i, o in enumerate(_list(source.get("overrides"), "overrides")))
    return Schedule(name=name or str(source.get("name", "")), time_zone=time_zone, layers=layers, overrides=overrides)


def parse_override(source: Any, path: str = "") -> Override:
    item = _mapping(source, path)
    _only(item, path, "start", "end", "mode", "users", "from", "to", "id")
    mode = item.get("mode", "set")
    if mode not in _MODES:
        raise ScheduleError(f"{path}.mode", f"expected one of {', '.join(_MODES)}, not {mode!r}")
    start, end = parse_instant(item.get("start"), f"{path}.start"), parse_instant(item.get("end"), f"{path}.end")
    if end <= start:
        raise ScheduleError(f"{path}.end", "must be after start")
    people = _people(item.get("users", []), f"{path}.users")
    if mode == "swap" and not (item.get("from") and item.get("to")):
        raise ScheduleError(path, "a swap needs `from` and `to`")
    if mode == "add" and not people:
        raise ScheduleError(f"{path}.users", "expected at least one name")
    return Override(start, end, mode, people, str(item.get("from", "")), str(item.get("to", "")), str(item.get("id", "")))


def parse_instant(value: Any, path: str = "") -> int:
    """`2026-03-01T08:00:00Z` (any offset) or a number of milliseconds -> ms UTC."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        moment = value
    else:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise ScheduleError(path, f"expected an instant such as 2026-03-01T08:00:00Z, not {value!r}") from None
    if moment.tzinfo is None:
        raise ScheduleError(path, f"expected an offset or Z at the end of {value!r}")
    return round(moment.timestamp() * 1000)


def _layer(source: Any, path: str, time_zone: str) -> Layer:
    item = _mapping(source, path)
    _only(item, path, "name", "users", "anchor", "period", "tz", "time_zone", "from", "until", "restrictions")
    zone = _zone(item.get("tz", item.get("time_zone", time_zone)), f"{path}.tz")
    turns = _turns(item.get("users"), f"{path}.users")
    period = _mapping(item.get("period", {}), f"{path}.period")
    _only(period, f"{path}.period", "unit", "every")
    unit, every = period.get("unit", "weeks"), period.get("every", 1)
    if unit not in _UNITS:
        raise ScheduleError(f"{path}.period.unit", f"expected one of {', '.join(_UNITS)}, not {unit!r}")
    if not isinstance(every, int) or isinstance(every, bool) or not 1 <= every <= 10_000:
        raise ScheduleError(f"{path}.period.every", f"expected a whole number from 1, not {every!r}")
    anchor = _wall(item.get("anchor"), f"{path}.anchor")
    start = _wall(item["from"], f"{path}.from") if item.get("from") else None
    end = _wall(item["until"], f"{path}.until") if item.get("until") else None
    restrictions = _list(item.get("restrictions"), f"{path}.restrictions")
    windows = tuple(_window(entry, f"{path}.restrictions[{i}]") for i, entry in enumerate(restrictions))
    return Layer(str(item.get("name", path)), Rotation(turns, anchor, unit, every), zone, start, end, windows)


def _window(source: Any, path: str) -> Window:
    item = _mapping(source, path)
    _only(item, path, "days", "start", "end", "from", "to")
    if item.get("from"):
        start_day, start = _day_clock(item.get("from"), f"{path}.from")
        end_day, end = _day_clock(item.get("to"), f"{path}.to")
        length = ((end_day - start_day) * 1440 + end - start) % _WEEK_MINUTES
        return Window((start_day,), start, length or _WEEK_MINUTES)
    names = _list(item.get("days"), f"{path}.days") or DAYS
    days = tuple(sorted({_day(day, f"{path}.days") for day in names}))
    start = _clock(item.get("start") or "00:00", f"{path}.start")
    end = _clock(item.get("end") or "24:00", f"{path}.end")
    return Window(days, start, end - start if end > start else end - start + 1440)


def _turns(value: Any, path: str) -> tuple[People, ...]:
    turns = []
    for i, entry in enumerate(_list(value, path)):
        people = (entry,) if isinstance(entry, str) else _people(entry, f"{path}[{i}]")
        turns.append(people)
    return tuple(turns)


def _people(value: Any, path: str) -> People:
    names = _list(value, path)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ScheduleError(path, f"expected names, not {name!r}")
    return tuple(names)


def _wall(value: Any, path: str) -> datetime:
    if isinstance(value, datetime):
        wall = value
    else:
        try:
            wall = datetime.fromisoformat(str(value))
        except ValueError:
            raise ScheduleError(path, f"expected local date and time such as 2026-01-05T09:00, not {value!r}") from None
    if wall.tzinfo is not None:
        raise ScheduleError(path, "is local time of the layer's zone: leave the offset away")
    return wall


def _zone(value: Any, path: str) -> str:
    try:
        ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError(path, f"unknown time zone {value!r} (expected a name such as Europe/Berlin)") from None
    return str(value)


def _day_clock(value: Any, path: str) -> tuple[int, int]:
    day, _, clock = str(value).partition(" ")
    return _day(day, path), _clock(clock.strip(), path)


def _day(value: Any, path: str) -> int:
    name = str(value).lower()[:3]
    if name not in DAYS:
        raise ScheduleError(path, f"expected a day such as mon, not {value!r}")
    return DAYS.index(name)


def _clock(value: Any, path: str) -> int:
    # YAML 1.1 reads an unquoted 17:00 as the number 1020, which happens to be the minute we want.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1440:
        return value
    match = _CLOCK.match(str(value))
    if match is None or (minutes := int(match[1]) * 60 + int(match[2])) > 1440:
        raise ScheduleError(path, f"expected a time such as 09:00, not {value!r}")
    return minutes


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ScheduleError(path, f"expected a mapping, not {value!r}")
    return value


def _list(value: Any, path: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ScheduleError(path, f"expected a list, not {value!r}")
    return value


def _only(item: Mapping[str, Any], path: str, *allowed: str) -> None:
    for key in item:
        if key not in allowed:
            raise ScheduleError(f"{path}.{key}" if path else str(key), f"unknown field (expected one of {', '.join(allowed)})")


# -- answering --


def evaluate(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the queries of a `POST /api/tocsin/v1/schedules/evaluate` body. Raises ScheduleError."""
    schedule = parse_schedule(_mapping(request.get("schedule"), "schedule"))
    queries = _list(request.get("queries"), "queries")
    return {"answers": [answer(schedule, _mapping(query, f"queries[{i}]"), f"queries[{i}]") for i, query in enumerate(queries)]}


def answer(schedule: Schedule, query: Mapping[str, Any], path: str = "query") -> Any:
    """One query: oncall_at, shifts, gaps, next_change or seconds_by_user. Raises ScheduleError."""
    kind = query.get("q")
    if kind == "oncall_at":
        return list(oncall.oncall_at(schedule, parse_instant(query.get("at"), f"{path}.at")))
    if kind == "next_change":
        t_ms = oncall.next_change(schedule, parse_instant(query.get("after"), f"{path}.after"))
        return None if t_ms is None else format_instant(t_ms)
    if kind not in ("shifts", "gaps", "seconds_by_user"):
        raise ScheduleError(f"{path}.q", f"expected oncall_at, shifts, gaps, next_change or seconds_by_user, not {kind!r}")
    start, end = parse_instant(query.get("from"), f"{path}.from"), parse_instant(query.get("until"), f"{path}.until")
    if end - start > _LONGEST_MS:
        raise ScheduleError(f"{path}.until", "asks for more than three years")
    if kind == "shifts":
        return [
            {"start": format_instant(s.start_ms), "end": format_instant(s.end_ms), "users": list(s.users)}
            for s in oncall.shifts(schedule, start, end)
        ]
    if kind == "gaps":
        return [{"start": format_instant(a), "end": format_instant(b)} for a, b in oncall.gaps(schedule, start, end)]
    return oncall.seconds_by_user(schedule, start, end)


def format_instant(t_ms: int) -> str:
    """ms -> `2026-03-01T08:00:00Z`, with milliseconds only where there are any."""
    text = datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="milliseconds" if t_ms % 1000 else "seconds")
    return text.replace("+00:00", "Z")
