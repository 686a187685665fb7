"""Questions about a schedule of the configuration, as the API asks them: who, shifts, gaps, the next change, a calendar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tocsin.errors import CommandError
from tocsin.incidents import fairness as burden
from tocsin.incidents import ical, oncall
from tocsin.incidents.oncall import Schedule
from tocsin.incidents.people import Directory
from tocsin.incidents.schedule import ScheduleError, answer, evaluate, format_instant, parse_instant

_AHEAD_MS = 14 * 86_400_000
_LONGEST_MS = 366 * 86_400_000
_CALENDAR_BACK_MS = 30 * 86_400_000
_CALENDAR_AHEAD_MS = 90 * 86_400_000
_MOST_QUERIES = 100


def since_ms(args: Mapping[str, Any], now_ms: int) -> int:
    """From when on the overrides count that the question needs."""
    if args.get("q") in ("ical", "month"):
        return now_ms - (_CALENDAR_BACK_MS if args["q"] == "ical" else _LONGEST_MS)
    return next((instant(args, name, now_ms) for name in ("at", "from", "after") if args.get(name)), now_ms)


def schedule_query(directory: Directory, args: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """{schedule, q: oncall_at | shifts | gaps | layers | next_change | ical, at, from, until, after, user} -> the answer.

    Instants are RFC 3339 or ms UTC; now, and two weeks ahead, when left out. Raises CommandError 404 or 422.
    """
    schedule = directory.schedules.get(str(args["schedule"]))
    if schedule is None:
        raise CommandError(404, "no_such_schedule", f"there is no schedule {args['schedule']!r}")
    kind, head = str(args["q"]), {"schedule": schedule.name, "time_zone": schedule.time_zone}
    if kind == "oncall_at":
        at_ms = instant(args, "at", now_ms)
        users = list(oncall.oncall_at(schedule, at_ms))
        return {**head, "at": format_instant(at_ms), "users": users, "why": oncall.oncall_why(schedule, at_ms)}
    if kind == "next_change":
        return {**head, **_next_change(schedule, instant(args, "after", now_ms))}
    if kind == "ical":
        start_ms, end_ms = since_ms(args, now_ms), now_ms + _CALENDAR_AHEAD_MS
        host = urlsplit(directory.external_url).hostname or "tocsin"
        return {**head, "text": ical.calendar(schedule, start_ms, end_ms, host=host, user=str(args.get("user", "")))}
    if kind == "month":
        return {**head, **_month(schedule, str(args.get("month", "")), now_ms)}
    start_ms = instant(args, "from", now_ms)
    end_ms = instant(args, "until", start_ms + _AHEAD_MS)
    if not start_ms <= end_ms <= start_ms + _LONGEST_MS:
        raise CommandError(422, "bad_time", "until: must not be before `from`, and a year after it at most")
    window = {"from": format_instant(start_ms), "until": format_instant(end_ms)}
    if kind == "fairness":
        zones = {person.name: person.time_zone for person in directory.persons.values()}
        return {**head, **window, **burden.fairness(schedule, zones, start_ms, end_ms)}
    if kind == "changes":
        return {**head, **window, "changes": burden.changes(schedule, start_ms, end_ms)}
    if kind == "layers":
        return {**head, **window, "layers": _layers(schedule, start_ms, end_ms)}
    try:
        return {**head, **window, kind: answer(schedule, {"q": kind, **window})}
    except ScheduleError as error:
        raise CommandError(422, "bad_question", str(error)) from None


def schedule_evaluate(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answers for a schedule that stands in the request (docs/reference/incidents.md). Raises CommandError 422 with the path."""
    queries = request.get("queries")
    if isinstance(queries, list) and len(queries) > _MOST_QUERIES:
        raise CommandError(422, "bad_schedule", f"queries: at most {_MOST_QUERIES} at once")
    try:
        return evaluate(request)
    except ScheduleError as error:
        raise CommandError(422, "bad_schedule", str(error)) from None
    except OverflowError:
        raise CommandError(422, "bad_schedule", "an instant lies outside the calendar (years 1 to 9999)") from None


def _layers(schedule: Schedule, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Each layer by itself, the one that wins first, as if there were no other and nobody had overridden anything."""
    return [
        {
            "name": layer.name,
            "shifts": [
                {"start": format_instant(shift.start_ms), "end": format_instant(shift.end_ms), "users": list(shift.users)}
                for shift in oncall.shifts(replace(schedule, layers=(layer,), overrides=()), start_ms, end_ms)
            ],
        }
        for layer in reversed(schedule.layers)
    ]


def _month(schedule: Schedule, text: str, now_ms: int) -> dict[str, Any]:
    """`text` is 2026-11; empty = the month of `now_ms` in the schedule's zone."""
    text = text or oncall.wall_time(now_ms, schedule.time_zone).strftime("%Y-%m")
    found = re.fullmatch(r"(\d{4})-(\d{2})", text)
    if found is None or not 1971 <= int(found[1]) <= 9998 or not 1 <= int(found[2]) <= 12:
        raise CommandError(422, "bad_time", f"month: expected a month such as 2026-11, not {text!r}")
    return burden.month(schedule, int(found[1]), int(found[2]))


def _next_change(schedule: Schedule, after_ms: int) -> dict[str, Any]:
    found = oncall.next_change(schedule, after_ms)
    return {
        "after": format_instant(after_ms),
        "at": None if found is None else format_instant(found),
        "users": [] if found is None else list(oncall.oncall_at(schedule, found)),
    }


def instant(args: Mapping[str, Any], name: str, default_ms: int) -> int:
    """RFC 3339 or ms; a space for the `+` of an offset (the usual slip in a URL) is forgiven."""
    value = args.get(name)
    if value is None or value == "":
        return default_ms
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) < 16 else _plus(value)
    try:
        t_ms = parse_instant(value, name)
        format_instant(t_ms)
    except ScheduleError as error:
        raise CommandError(422, "bad_time", str(error)) from None
    except (OverflowError, ValueError, OSError):
        raise CommandError(422, "bad_time", f"{name}: lies outside the calendar") from None
    return t_ms


def _plus(text: str) -> str:
    return text.replace(" ", "+") if "T" in text else text
