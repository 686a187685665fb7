"""Schedules as calendars: shifts out (iCalendar, RFC 5545), and somebody else's calendar in, as overrides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tocsin.incidents.oncall import Override, Schedule, Shift, resolve, shifts

_MOST_EVENTS = 5000
_FOLD = 75


def calendar(schedule: Schedule, start_ms: int, end_ms: int, *, host: str, user: str = "") -> str:
    """The shifts in [start_ms, end_ms) as one VCALENDAR; of one person when `user` is given. Times are UTC."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Tocsin//on call//EN", f"X-WR-CALNAME:{escape(schedule.name)}"]
    for shift in shifts(schedule, start_ms, end_ms):
        if not user or user in shift.users:
            lines += _event(schedule, shift, host)
    return "".join(f"{_fold(line)}\r\n" for line in [*lines, "END:VCALENDAR"])


def _event(schedule: Schedule, shift: Shift, host: str) -> list[str]:
    # The same shift keeps its UID, so that a calendar moves it rather than showing it twice.
    uid = hashlib.sha256(f"{schedule.name} {shift.start_ms} {','.join(shift.users)}".encode()).hexdigest()[:24]
    return [
        "BEGIN:VEVENT",
        f"UID:{uid}@{host}",
        f"DTSTAMP:{_stamp(shift.start_ms)}",
        f"DTSTART:{_stamp(shift.start_ms)}",
        f"DTEND:{_stamp(shift.end_ms)}",
        f"SUMMARY:{escape('On call: ' + ', '.join(shift.users) + ' (' + schedule.name + ')')}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    ]


def overrides(text: str, *, time_zone: str, people: set[str]) -> tuple[tuple[Override, ...], tuple[str, ...]]:
    """Events whose SUMMARY is a person's name (or ends in `: name`) as `set` overrides, and what could not be read.

    Recurring events are not expanded: they are reported.
    """
    found: list[Override] = []
    problems: list[str] = []
    for fields in _events(text):
        summary = fields.get("SUMMARY", ("", ""))[1]
        name = summary.rpartition(":")[2].strip()
        if name not in people:
            problems.append(f"{summary!r} names no person")
        elif "RRULE" in fields:
            problems.append(f"{summary!r} repeats (RRULE): enter it as a layer")
        else:
            try:
                start, end = _instant(fields["DTSTART"], time_zone), _instant(fields["DTEND"], time_zone)
            except (KeyError, ValueError) as error:
                problems.append(f"{summary!r}: {error}")
                continue
            if end > start:
                found.append(Override(start, end, "set", (name,), id=fields.get("UID", ("", ""))[1]))
            else:
                problems.append(f"{summary!r} ends before it starts")
    return tuple(found), tuple(problems)


def _events(text: str) -> Iterator[dict[str, tuple[str, str]]]:
    """Each VEVENT as name -> (parameters, value)."""
    unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
    fields: dict[str, tuple[str, str]] | None = None
    count = 0
    for line in unfolded.split("\n"):
        if line == "BEGIN:VEVENT":
            fields = {}
        elif line == "END:VEVENT" and fields is not None:
            count += 1
            if count > _MOST_EVENTS:
                return
            yield fields
            fields = None
        elif fields is not None:
            head, _, value = line.partition(":")
            name, _, parameters = head.partition(";")
            fields.setdefault(name.upper(), (parameters, _unescape(value)))


def _instant(field: tuple[str, str], time_zone: str) -> int:
    """ms of DTSTART or DTEND: UTC, with a TZID, floating (the schedule's zone), or a whole day."""
    parameters, value = field
    if value.endswith("Z"):
        return round(datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() * 1000)
    zone = next((p[5:].strip('"') for p in parameters.split(";") if p.upper().startswith("TZID=")), time_zone)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {zone!r}") from None
    wall = datetime.strptime(value, "%Y%m%dT%H%M%S" if "T" in value else "%Y%m%d")  # noqa: DTZ007 - wall time is meant
    return resolve(wall, zone)


def _stamp(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def escape(text: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _unescape(text: str) -> str:
    return text.replace("\\n", " ").replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\")


def _fold(line: str) -> str:
    """At most 75 octets a line."""
    out, width = "", 0
    for char in line:
        size = len(char.encode())
        if width + size > _FOLD:
            out, width = out + "\r\n ", 1
        out, width = out + char, width + size
    return out
